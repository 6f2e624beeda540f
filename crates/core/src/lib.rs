//! The vocabulary that Backstop's layers share: failures, deadlines, trails and outcome handles.

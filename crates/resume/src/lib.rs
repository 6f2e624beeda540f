//! A stream that breaks after its first token goes on from another deployment.
mod seam;

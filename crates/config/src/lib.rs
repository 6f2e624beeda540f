//! Backstop's YAML configuration: validated, and built into running stacks.

//! Host configuration: schema, checks and secrets that do not print.

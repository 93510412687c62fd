//! Downloads from untrusted mirrors: limits, resume, stall detection, redirect rules.

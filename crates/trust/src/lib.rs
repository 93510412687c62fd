//! Trust policy, signing roots, certificate rules and the threshold: the only place that makes bytes trusted.

//! Failure codes and the boot report: the words that every part of ramstrap uses to say what happened.

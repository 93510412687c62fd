//! kexec_file_load(2) from sealed memory, with errors that explain.

//! The operator's tool: keys, OS packages, signing, configuration checks, boot images, a
//! provisioning server.
//!
//! The binary `ramstrap` is a thin shell around [`run`]. What the command line can do is also
//! here as functions, for programs that build on it.

#![forbid(unsafe_code)]

pub mod boot_image;
pub mod certificate;
mod commands;
mod cpio;
pub mod dates;
pub mod difference;
mod error;
pub mod files;
pub mod firmware;
mod host_config;
pub mod inspect;
pub mod keys;
pub mod media;
pub mod modules;
mod nearest;
mod new_directory;
mod output;
pub mod package;
mod progress;
pub mod secure_boot;
pub mod serve;
mod text_file;
mod unfinished;

pub use commands::FindInit;
pub use commands::FoundInit;
pub use commands::run;
pub use commands::run_with_init;
pub use error::Error;
pub use error::Exit;
pub use error::Result;

//! OS packages from recipes.
//!
//! A recipe is a directory: `recipe.toml` says what is in the root file system, `packages.lock` which
//! versions of the distribution's packages, `files/` is laid over it, and `hooks/` run on it at the
//! end. [`build()`] makes the initramfs and the package of it, the same bytes whoever builds it, where
//! and when. docs/os-packages.md is the guide.
//!
//! What comes from the network or from a distribution's archive is unpacked in memory ([`tree`]): no
//! root is needed, owners and modes are kept all the same, and a path in a package can lead nowhere
//! but into that tree.

#![forbid(unsafe_code)]

pub mod apt;
pub mod build;
pub mod builder;
pub mod deb;
pub mod debs;
pub mod disk;
pub mod elf;
pub mod hooks;
pub mod initramfs;
pub mod lock;
pub mod manifest;
pub mod overlay;
pub mod packages;
pub mod recipe;
pub mod resolve;
pub mod room;
pub mod tarball;
pub mod template;
pub mod tree;
pub mod version;

pub use build::Built;
pub use build::Options;
pub use build::build;
pub use ramstrap_cli::Error;
pub use ramstrap_cli::Result;
pub use recipe::Recipe;

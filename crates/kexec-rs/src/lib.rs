//! `kexec_file_load(2)` from sealed memory, with errors that explain.
//!
//! The kernel and its initramfs are read from anonymous memory files that cannot change any more:
//! [`MemFile`] grows while bytes arrive, [`MemFile::seal`] turns it into a [`SealedFile`], and only
//! sealed files can be given to [`load`]. No path is opened, so nothing can be exchanged between
//! check and use.
//!
//! ```no_run
//! use std::io::Write;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut kernel = kexec_rs::MemFile::create("kernel")?;
//! kernel.write_all(b"...")?;
//! let mut initramfs = kexec_rs::MemFile::create("initramfs")?;
//! initramfs.write_all(b"...")?;
//! let loaded = kexec_rs::load(&kernel.seal()?, &initramfs.seal()?, c"console=ttyS0")?;
//! let error = loaded.execute(); // returns only if the jump failed
//! # Err(error.into())
//! # }
//! ```

mod error;
mod load;
mod memfile;

pub use error::KexecError;
pub use load::Loaded;
pub use load::disable_further_loading;
pub use load::load;
pub use memfile::MemFile;
pub use memfile::SealedFile;

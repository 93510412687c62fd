//! Functions of the C library that `/init` has no use for, in its place: what they would pull into a
//! static program is two hundred kilobytes.
//!
//! The linker takes these because it sees them first. Only the small static build has them
//! (`build.rs`); tests run with the C library's own.

use core::ffi::c_char;
use core::ffi::c_int;
use core::ffi::c_void;

/// Looks up no name. The C library's would ask the servers of a file that is not there, over any
/// interface, and loads plug-ins, which a static program cannot; names are asked by
/// `fetch::Resolver`, over the link's own interface. The standard library and hyper name it all the
/// same, for a way to connect that nobody takes.
///
/// # Safety
/// None of the pointers is looked at.
// SAFETY: the name and the types are the C library's (POSIX, getaddrinfo).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getaddrinfo(
    _node: *const c_char,
    _service: *const c_char,
    _hints: *const c_void,
    _found: *mut *mut c_void,
) -> c_int {
    libc::EAI_FAIL
}

/// Frees what [`getaddrinfo`] has found, which is nothing.
///
/// # Safety
/// The pointer is not looked at.
// SAFETY: the name and the types are the C library's (POSIX, freeaddrinfo).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn freeaddrinfo(_found: *mut c_void) {}

/// Knows nothing about any thread's stack. The standard library asks so that it can tell a stack that
/// overflowed from other faults, in a message before the program dies. For the main thread the C
/// library finds out by reading `/proc/self/maps` with `sscanf`, in PID 1 before `/proc` is mounted:
/// in vain.
///
/// # Safety
/// The pointer is not looked at.
// SAFETY: the name and the types are the C library's (pthread_getattr_np(3)). Callers look at the
// attributes after a zero only.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pthread_getattr_np(
    _thread: libc::pthread_t,
    _attributes: *mut c_void,
) -> c_int {
    libc::ENOSYS
}

//! Functions of the C library and of the compiler's that `/init` has no use for, in their place: what
//! they would pull into a static program is three hundred kilobytes.
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

/// Walks up no stack. The standard library asks for that to print a backtrace, which a panic of
/// `/init` has no use for. As the optimiser sees that there is never a frame to be shown, it leaves
/// out all that reads debug information and unpacks names.
///
/// # Safety
/// Neither of the pointers is looked at.
// SAFETY: the name and the types are the Itanium C++ ABI's (_Unwind_Backtrace).
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn _Unwind_Backtrace(
    _frame: *const c_void,
    _argument: *mut c_void,
) -> c_int {
    const END_OF_STACK: c_int = 5;
    END_OF_STACK
}

/// What is left of the compiler's unwinder by that: parts of the standard library and of the C
/// library are compiled so that a stack could be unwound through them. A panic of `/init` aborts,
/// its tables for unwinding are left out (`small.ld`), and it ends no thread from outside: nothing
/// begins to unwind, and nobody gets here.
macro_rules! never_called {
    ($($name:ident)+) => {$(
        /// Ends the program: see the macro.
        // SAFETY: the name is the Itanium C++ ABI's or glibc's for it. Whatever its arguments are, none
        // is looked at, and it does not return.
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $name() -> ! {
            std::process::abort()
        }
    )+};
}

never_called! {
    __gcc_personality_v0
    _Unwind_ForcedUnwind
    _Unwind_GetCFA
    _Unwind_GetDataRelBase
    _Unwind_GetIP
    _Unwind_GetIPInfo
    _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart
    _Unwind_GetTextRelBase
    _Unwind_Resume
    _Unwind_SetGR
    _Unwind_SetIP
}

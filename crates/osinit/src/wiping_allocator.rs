//! Memory that is given back is overwritten.
//!
//! What staff sends passes through buffers of TLS, JSON and the event loop that nobody wipes. PID 1 never
//! ends, so that the kernel cannot do it either before the machine is left.

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::atomic::compiler_fence;

/// The system's allocator, but for that.
#[derive(Debug)]
pub struct WipingAllocator;

// SAFETY: every call is passed on as it came; memory is written to only between the moment when its
// owner gave it up and the moment when the system gets it. Growing is left to the default, which
// allocates, copies and gives up the old place by way of `dealloc`.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller gives up `layout.size()` bytes at `memory`, which are therefore valid.
        unsafe {
            ptr::write_bytes(memory, 0, layout.size());
            // Or the compiler might see that nobody reads it any more.
            std::hint::black_box(memory);
            compiler_fence(Ordering::SeqCst);
            System.dealloc(memory, layout);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::GlobalAlloc;
    use std::alloc::Layout;

    use super::WipingAllocator;

    #[test]
    fn what_grows_keeps_its_content() {
        let layout = Layout::from_size_align(64, 8).unwrap();
        // SAFETY: the memory is used within the sizes asked for, and given back once.
        unsafe {
            let memory = WipingAllocator.alloc(layout);
            memory.write_bytes(7, 64);
            let memory = WipingAllocator.realloc(memory, layout, 4096);
            assert!((0..64).all(|place| *memory.add(place) == 7));
            WipingAllocator.dealloc(memory, Layout::from_size_align(4096, 8).unwrap());
        }
    }
}

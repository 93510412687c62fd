//! `/init` of our RAM-only OSes, and, under the name `ramstrap`, the command of those who are logged
//! in to one.

use std::process::ExitCode;

use osinit::wiping_allocator::WipingAllocator;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

fn main() -> ExitCode {
    osinit::run()
}

//! Gives memory back after a model is loaded.
#![allow(unsafe_code)]

/// Loading a model takes and frees twice the memory it keeps, and glibc holds on to what was freed:
/// with MiniLM loaded the process held 186 MB, and holds 134 MB now that this is called. There is no safe way to
/// say it; the call takes no pointer and may be made at any time from any thread.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back_freed_memory() {
    unsafe extern "C" {
        fn malloc_trim(keep: usize) -> i32;
    }
    // SAFETY: part of glibc, thread-safe, and without preconditions. It says whether anything was
    // given back, which changes nothing here.
    let _ = unsafe { malloc_trim(0) };
}

/// Other allocators give back on their own.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back_freed_memory() {}

//! The module's allocator: small pieces that were freed are kept by their size, and given out again in a few instructions.
//!
//! A request takes and frees some fifty small pieces of the same sizes as the one before. What is kept never exceeds what was
//! once in use at the same time.
#![allow(unsafe_code, reason = "an allocator has no safe form")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::UnsafeCell,
    ptr,
};

#[global_allocator]
static MEMORY: Memory = Memory { free: UnsafeCell::new([ptr::null_mut(); CLASSES]) };

/// Pieces are multiples of this many bytes, and begin at such a place as the system's allocator gives without asking.
const STEP: usize = 8;

/// How many sizes are kept; greater pieces go back to the system's allocator.
const CLASSES: usize = 128;

/// For each size the first free piece, which holds the place of the next.
struct Memory {
    free: UnsafeCell<[*mut u8; CLASSES]>,
}

// SAFETY: a VM is one thread, and Envoy enters it by one callback at a time.
unsafe impl Sync for Memory {}

// Nothing here is copied into its callers: the module would grow by a twentieth.
//
// SAFETY: a piece is given out by `alloc` only, is as large as its class, which follows from its layout alone, and is in
// no list meanwhile. What has no class is the system's alone.
unsafe impl GlobalAlloc for Memory {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(layout) else { return unsafe { System.alloc(layout) } };
        let first = unsafe { self.first(class) };
        let piece = unsafe { *first };
        if piece.is_null() {
            return unsafe { System.alloc(whole(class)) };
        }
        unsafe { *first = piece.cast::<*mut u8>().read() };
        piece
    }

    #[inline(never)]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        let Some(class) = class_of(layout) else { return unsafe { System.dealloc(piece, layout) } };
        let first = unsafe { self.first(class) };
        unsafe { piece.cast::<*mut u8>().write(*first) };
        unsafe { *first = piece };
    }

    #[inline(never)]
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller keeps to the rules of `GlobalAlloc::realloc`.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class_of(layout), class_of(wanted)) {
            (None, None) => unsafe { System.realloc(piece, layout, size) },
            (old, new) if old == new => piece,
            _ => {
                let moved = unsafe { self.alloc(wanted) };
                if !moved.is_null() {
                    unsafe { ptr::copy_nonoverlapping(piece, moved, layout.size().min(size)) };
                    unsafe { self.dealloc(piece, layout) };
                }
                moved
            }
        }
    }
}

impl Memory {
    /// Where the first free piece of a class is noted.
    ///
    /// # Safety
    /// `class` is less than [`CLASSES`], and nobody else has this place at the same time.
    unsafe fn first(&self, class: usize) -> *mut *mut u8 {
        unsafe { self.free.get().cast::<*mut u8>().add(class) }
    }
}

/// The class of a piece, of `STEP * (class + 1)` bytes; none if it is too large or must begin at a special place.
const fn class_of(layout: Layout) -> Option<usize> {
    // A size is never 0 here, so it does not wrap; nor does anything that is compared with a limit.
    let class = layout.size().wrapping_sub(1) / STEP;
    if class < CLASSES && layout.align() <= STEP { Some(class) } else { None }
}

const fn whole(class: usize) -> Layout {
    let size = class.wrapping_add(1).wrapping_mul(STEP);
    // SAFETY: the alignment is a power of two, and no class is greater than a kilobyte.
    unsafe { Layout::from_size_align_unchecked(size, STEP) }
}

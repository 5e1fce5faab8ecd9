//! The router as clients see it, on parts in memory.

mod board;
mod decisions;
mod description;
mod fixture;
mod limits;
mod tokens;

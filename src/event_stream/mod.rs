//! A log with many readers: Server-Sent Events with nothing lost.

//! A relay between real sockets: what comes out is what went in.

mod bytes;
mod ends;
mod found;
mod http;
mod lines;
mod setting;

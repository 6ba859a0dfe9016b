// SPDX-License-Identifier: MIT OR Apache-2.0
//! stub
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

rt::entry!(main);

fn main(environment: &'static rt::Environment) {
    log::info!("{}", environment.name);
}

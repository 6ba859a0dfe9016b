// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes in, bytes out.

use api::operator::server::{Event, Session};
use api::operator::{Failure, Reply};
use rt::cap::{Cap, Notification};
use rt::{Environment, time};

use crate::proxy::Proxy;
use crate::uart::{Received, Uart};

/// How long a lost interrupt can go unnoticed.
const GLANCE_MS: u64 = 100;

/// The program.
pub fn main(environment: &'static Environment) {
    let doorbell = Cap::<Notification>::named(environment, "doorbell");
    let Some(uart) = Uart::new(environment) else {
        log::warn!("there is no second serial port: no operator can come");
        sleep(doorbell)
    };
    if environment.secret.is_none() {
        log::warn!("no operator-secret= on the core's command line: nobody will be let in");
    }
    let mut line = Line { uart, session: Session::new(environment.secret), proxy: Proxy::new(environment) };
    loop {
        line.drain();
        line.uart.ack();
        match doorbell {
            Some(doorbell) => {
                let _ = doorbell.wait(time::after_ms(GLANCE_MS));
            }
            None => rt::syscall::yield_now(),
        }
    }
}

fn sleep(doorbell: Option<Cap<Notification>>) -> ! {
    loop {
        match doorbell {
            Some(doorbell) => {
                let _ = doorbell.wait(time::after_ms(60_000));
            }
            None => rt::syscall::yield_now(),
        }
    }
}

struct Line {
    uart: Uart,
    session: Session,
    proxy: Proxy,
}

impl Line {
    /// Take whatever has come.
    fn drain(&mut self) {
        loop {
            match self.uart.receive() {
                Received::Nothing => return,
                Received::Lost => self.session.reset(),
                Received::Byte(byte) => {
                    if let Some(event) = self.session.push(byte, time::now()) {
                        self.act(event);
                    }
                }
            }
        }
    }

    fn act(&mut self, event: Event) {
        match event {
            Event::Send(bytes) => self.send(&bytes),
            Event::Opened(bytes) => {
                log::info!("an operator has come");
                self.send(&bytes);
            }
            Event::Closed(reason, bytes) => {
                log::info!("session ended: {reason:?}");
                self.send(&bytes);
            }
            Event::Request(request) => {
                let reply = self.proxy.ask(request);
                let bytes = self.session.reply(&reply).or_else(|| {
                    self.session.reply(&Reply::Failed(Failure::Unavailable("the reply is too long".into())))
                });
                if let Some(bytes) = bytes {
                    self.send(&bytes);
                }
            }
        }
    }

    /// A peer that does not take its answer has no session any more.
    fn send(&mut self, bytes: &[u8]) {
        if !self.uart.send(bytes) {
            self.session.reset();
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes in, bytes out.

use api::operator::server::{Event, Session};
use api::operator::{Failure, Reply};
use rt::cap::{Cap, Notification};
use rt::{Environment, time};

use api::operator::audit;

use crate::proxy::Proxy;
use crate::uart::{Received, Uart};

/// How long a lost interrupt can go unnoticed.
const GLANCE_MS: u64 = 100;

/// So many bytes from somebody who is not the operator cost a pause, so that noise takes no time
/// from others.
const NOISE: u32 = 256;
/// The pause.
const PAUSE_MS: u64 = 10;

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
    let session = Session::new(environment.secret);
    let mut line = Line { doorbell, uart, session, proxy: Proxy::new(environment), noise: 0 };
    line.send(&Session::announcement());
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

/// Lets time pass, whatever is signalled.
fn pause(doorbell: Option<Cap<Notification>>) {
    let end = time::after_ms(PAUSE_MS);
    match doorbell {
        Some(doorbell) => doorbell.wait_out(end),
        None => {
            while time::now() < end {
                rt::syscall::yield_now();
            }
        }
    }
}

struct Line {
    doorbell: Option<Cap<Notification>>,
    uart: Uart,
    session: Session,
    proxy: Proxy,
    /// Bytes since an operator last made himself known or asked something.
    noise: u32,
}

impl Line {
    /// Take whatever has come.
    fn drain(&mut self) {
        loop {
            match self.uart.receive() {
                Received::Nothing => return,
                Received::Lost => self.session.reset(),
                Received::Byte(byte) => {
                    self.noise += 1;
                    if self.noise >= NOISE && !self.session.is_open() {
                        self.noise = 0;
                        pause(self.doorbell);
                    }
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
                self.noise = 0;
                self.send(&bytes);
            }
            Event::Closed(reason, bytes) => {
                log::info!("session ended: {reason:?}");
                self.send(&bytes);
            }
            Event::Request(request) => {
                self.noise = 0;
                let command = audit::command(&request);
                let reply = self.proxy.ask(request);
                if let Some(command) = command {
                    log::info!("command: {command}: {}", audit::outcome(&reply));
                }
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

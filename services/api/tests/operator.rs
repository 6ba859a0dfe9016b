// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two ends of the operator's line against each other, and the service's end against what is
//! not a tool.

use api::operator::packet::{Goodbye, Hello, MAGIC, Packet};
use api::operator::{Failure, Key, Reply, Request, client, frame, key, permitted, server};
use api::vmm;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Everything that the service's end answers to some bytes.
fn feed(server: &mut server::Session, bytes: &[u8]) -> Vec<server::Event> {
    bytes.iter().filter_map(|&byte| server.push(byte, 1)).collect()
}

fn feed_tool(tool: &mut client::Session, bytes: &[u8]) -> Vec<client::Event> {
    bytes.iter().filter_map(|&byte| tool.push(byte)).collect()
}

/// The one thing that happens.
fn only<T: std::fmt::Debug>(events: Vec<T>) -> T {
    let [event] = <[T; 1]>::try_from(events).expect("one event");
    event
}

/// Shake hands up to the last event of the tool.
fn connect(server: &mut server::Session, key: Key) -> (client::Session, client::Event) {
    let (mut tool, mut bytes) = client::Session::new(key, [7; 16]);
    loop {
        let sent = match only(feed(server, &bytes)) {
            server::Event::Send(sent) | server::Event::Opened(sent) | server::Event::Closed(_, sent) => sent,
            server::Event::Request(request) => panic!("{request:?}"),
        };
        match only(feed_tool(&mut tool, &sent)) {
            client::Event::Send(sent) => bytes = sent,
            event => return (tool, event),
        }
    }
}

fn opened() -> (server::Session, client::Session) {
    let mut server = server::Session::new(Some(key(SECRET)));
    let (tool, event) = connect(&mut server, key(SECRET));
    assert_eq!(event, client::Event::Opened);
    assert!(server.is_open());
    (server, tool)
}

#[test]
fn requests_and_replies_go_through() {
    let (mut server, mut tool) = opened();
    for round in 0..100 {
        let typed = vec![round as u8; round * 20];
        let request = Request::Vm("linux".into(), vmm::Request::ConsoleWrite(typed));
        let bytes = tool.request(&request).unwrap();
        assert_eq!(only(feed(&mut server, &bytes)), server::Event::Request(request));
        let reply = Reply::Vm(vmm::Reply::Taken(round as u32));
        let bytes = server.reply(&reply).unwrap();
        assert_eq!(only(feed_tool(&mut tool, &bytes)), client::Event::Reply(reply));
    }
}

#[test]
fn the_secret_may_end_in_a_new_line() {
    assert_eq!(key(SECRET), key(&format!("{SECRET}\n")));
    assert_ne!(key(SECRET), key("other"));
}

#[test]
fn the_secret_is_found_on_the_command_line() {
    let found = |line: &str| api::operator::key_on_command_line(line);
    assert_eq!(found("quiet operator-secret=abc cpus=2"), Some(key("abc")));
    for line in ["", "operator-secret=", "operator-secret", "an-operator-secret=abc"] {
        assert_eq!(found(line), None, "{line}");
    }
}

#[test]
fn nobody_comes_in_without_the_secret() {
    let mut server = server::Session::new(Some(key(SECRET)));
    let denied = client::Event::Closed(client::Closed::Goodbye(Goodbye::Denied));
    assert_eq!(connect(&mut server, key("wrong")).1, denied);
    assert!(!server.is_open());
    let mut server = server::Session::new(None);
    let none = client::Event::Closed(client::Closed::Goodbye(Goodbye::NoSecret));
    assert_eq!(connect(&mut server, key(SECRET)).1, none);
}

#[test]
fn neither_secret_nor_key_cross_the_line() {
    let mut server = server::Session::new(Some(key(SECRET)));
    let (mut tool, hello) = client::Session::new(key(SECRET), [7; 16]);
    let server::Event::Send(challenge) = only(feed(&mut server, &hello)) else { panic!() };
    let client::Event::Send(proof) = only(feed_tool(&mut tool, &challenge)) else { panic!() };
    let server::Event::Opened(welcome) = only(feed(&mut server, &proof)) else { panic!() };
    let line: Vec<u8> = [hello, challenge, proof, welcome].concat();
    for part in SECRET.as_bytes().windows(8).chain(key(SECRET).windows(4)) {
        assert!(!line.windows(part.len()).any(|window| window == part));
    }
}

#[test]
fn an_overheard_session_is_of_no_use() {
    let mut server = server::Session::new(Some(key(SECRET)));
    let (mut tool, hello) = client::Session::new(key(SECRET), [7; 16]);
    let server::Event::Send(challenge) = only(feed(&mut server, &hello)) else { panic!() };
    let client::Event::Send(proof) = only(feed_tool(&mut tool, &challenge)) else { panic!() };
    assert!(matches!(only(feed(&mut server, &proof)), server::Event::Opened(_)));
    let again = [hello, proof].concat();
    let events = feed(&mut server, &again);
    assert!(matches!(events[1], server::Event::Closed(Goodbye::Denied, _)), "{events:?}");
}

#[test]
fn whoever_follows_an_operator_is_not_the_operator() {
    let (mut server, mut tool) = opened();
    let first = tool.request(&Request::Ping).unwrap();
    assert_eq!(only(feed(&mut server, &first)), server::Event::Request(Request::Ping));
    // The same bytes again are not the next request.
    assert!(matches!(only(feed(&mut server, &first)), server::Event::Closed(Goodbye::Garbled, _)));
    assert!(!server.is_open());
    assert_eq!(server.reply(&Reply::Pong), None);
    // The tool hears of it, and another may come.
    let second = tool.request(&Request::Ping).unwrap();
    let server::Event::Closed(_, goodbye) = only(feed(&mut server, &second)) else { panic!() };
    let closed = client::Event::Closed(client::Closed::Goodbye(Goodbye::Garbled));
    assert_eq!(only(feed_tool(&mut tool, &goodbye)), closed);
    assert_eq!(connect(&mut server, key(SECRET)).1, client::Event::Opened);
}

#[test]
fn an_impostor_of_the_service_is_found_out() {
    let (mut tool, _) = client::Session::new(key(SECRET), [7; 16]);
    let challenge = Packet::Challenge { version: 1, nonce: [1; 16] }.frame();
    assert!(matches!(only(feed_tool(&mut tool, &challenge)), client::Event::Send(_)));
    let welcome = Packet::Welcome([0; 16]).frame();
    let event = only(feed_tool(&mut tool, &welcome));
    assert_eq!(event, client::Event::Closed(client::Closed::Impostor));
}

#[test]
fn versions_are_agreed_on() {
    let mut server = server::Session::new(Some(key(SECRET)));
    let mut hello = |oldest, newest| {
        let hello = Hello { magic: MAGIC, oldest, newest, nonce: [0; 16] };
        only(feed(&mut server, &Packet::Hello(hello).frame()))
    };
    for (oldest, newest) in [(2, 9), (0, 0), (3, 1)] {
        let event = hello(oldest, newest);
        assert!(matches!(event, server::Event::Closed(Goodbye::Version { oldest: 1, newest: 1 }, _)));
    }
    assert!(matches!(hello(0, 99), server::Event::Send(_)));
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

#[test]
fn garbage_opens_nothing_and_breaks_nothing() {
    let mut random = Random(0x5eed);
    let mut server = server::Session::new(Some(key(SECRET)));
    for _ in 0..300 {
        for _ in 0..3000 {
            // Many zero bytes, so that there are many frames.
            let byte = if random.number().is_multiple_of(20) { 0 } else { random.number() as u8 };
            let event = server.push(byte, random.0);
            assert!(
                !matches!(event, Some(server::Event::Request(_) | server::Event::Opened(_))),
                "{event:?}"
            );
        }
        // Well-formed frames with nonsense in them.
        for _ in 0..30 {
            let size = random.number() % 80;
            let packet: Vec<u8> = (0..size).map(|_| (random.number() % 6) as u8).collect();
            for event in feed(&mut server, &frame::frame(&packet)) {
                assert!(!matches!(event, server::Event::Request(_) | server::Event::Opened(_)), "{event:?}");
            }
        }
        server.push(0, 0);
        assert_eq!(connect(&mut server, key(SECRET)).1, client::Event::Opened);
        if random.number().is_multiple_of(2) {
            server.reset();
        }
    }
}

#[test]
fn a_request_that_was_tampered_with_ends_the_session() {
    let request = Request::Vm("linux".into(), vmm::Request::Status);
    for index in 0..60 {
        for change in 1..=255u8 {
            let (mut server, mut tool) = opened();
            let mut bytes = tool.request(&request).unwrap();
            if index == 0 || index + 1 >= bytes.len() {
                continue;
            }
            bytes[index] ^= change;
            for event in feed(&mut server, &bytes) {
                assert!(matches!(event, server::Event::Closed(..)), "{event:?}");
            }
            assert!(!server.is_open());
        }
    }
}

#[test]
fn a_request_cut_short_ends_the_session() {
    let request = Request::Vm("linux".into(), vmm::Request::Status);
    let (_, mut tool) = opened();
    let length = tool.request(&request).unwrap().len();
    for cut in 2..length - 1 {
        let (mut server, mut tool) = opened();
        let bytes = tool.request(&request).unwrap();
        assert_eq!(feed(&mut server, &bytes[..cut]), []);
        assert!(matches!(only(feed(&mut server, &[0])), server::Event::Closed(Goodbye::Garbled, _)));
        assert_eq!(connect(&mut server, key(SECRET)).1, client::Event::Opened);
    }
}

#[test]
fn replies_too_long_for_a_frame_are_not_sent() {
    let (mut server, _) = opened();
    let failure = Failure::Unknown("x".repeat(frame::MAX_PACKET));
    assert_eq!(server.reply(&Reply::Failed(failure)), None);
}

#[test]
fn the_steps_of_a_handover_are_not_an_operators() {
    let of = |request| permitted(&Request::Vm("linux".into(), request));
    for request in [vmm::Request::Status, vmm::Request::Pause, vmm::Request::Start] {
        assert!(of(request.clone()), "{request:?}");
    }
    let steps = [
        vmm::Request::Prepare,
        vmm::Request::HandOver { vcpu: 0 },
        vmm::Request::TakeOver { vcpu: 0 },
        vmm::Request::Lose { anyway: true },
    ];
    for request in steps {
        assert!(!of(request.clone()), "{request:?}");
    }
}

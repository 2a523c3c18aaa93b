//! Ground truth: what is done to a request is found in its stage, and in no other.

mod lab;
mod relay;

use std::time::Duration;

use lab::{Closed, Setup, Who, median};
use ledger::{Kind, Stage};

const PROTOCOLS: [&str; 2] = ["rest", "grpc"];

fn print(closed: &Closed) {
    for hop in &closed.books.hops {
        for (stage, time) in hop.stages.iter() {
            println!("{:>24} {:>24} {:>10} {:?}", hop.name, stage.name(), time.ns, time.kind);
        }
    }
    println!("stopwatch {} total {} out of order {:?}", closed.stopwatch, closed.books.total(),
        closed.books.hops.iter().map(|hop| hop.out_of_order).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stage_is_measured_and_the_books_close() {
    for protocol in PROTOCOLS {
        for size in [0, 10, 100_000, 1_000_000] {
            let mut lab = Setup::default().start().await;
            let ledgers = lab.ledgers(protocol, size, 20).await;
            let closed = &ledgers[10];
            println!("--- {protocol} {size}");
            print(closed);
            println!("{:?}\n{:?}", closed.hop.client, closed.hop.server);
            println!("{:?}\n{:?}", closed.hop.children[0].client, closed.hop.children[0].server);
        }
    }
}

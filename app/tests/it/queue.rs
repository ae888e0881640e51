//! Tests that the queue is bounded: when it is full, orders are refused immediately and cancels are still accepted.

use exchange::engine::SubmitError;
use exchange_core::{
    command::{CancelOrder, CancelReplaceMode, Command, NewOrder},
    order::{ClientId, OrderType, Side, StpMode, TimeInForce},
};
use futures::poll;
use std::{pin::Pin, task::Poll};

use crate::{
    proxy::{Proxy, server_of},
    replica::{TestReplica, create_account, database},
};

const QUEUE_LIMIT: usize = 16;
/// Far more than fits into a batch and the queue.
const TOO_MANY: usize = 20_000;

type Submitting = Pin<Box<dyn Future<Output = Result<exchange::engine::CommandReply, SubmitError>> + Send>>;

/// Refused later because of its market; occupies a queue place like any other.
fn cancel_all_of_nobody() -> Command {
    Command::CancelAll { account: 999, market: 999 }
}

/// A cancel-replace is an order too: it must not use the places reserved for cancels.
fn replace() -> Command {
    let cancel = CancelOrder { account: 999, market: 999, order: None, client_id: None, restriction: None };
    Command::CancelReplace { cancel, new: order(), mode: CancelReplaceMode::AllowFailure }
}

fn order() -> NewOrder {
    NewOrder {
        account: 999,
        market: 999,
        side: Side::Buy,
        kind: OrderType::Limit,
        time_in_force: TimeInForce::Gtc,
        stp: StpMode::None,
        price: 1,
        stop_price: 0,
        quantity: 1,
        quote_order_quantity: 0,
        iceberg: 0,
        trailing_delta: 0,
        client_id: ClientId::new("x").unwrap(),
    }
}

#[tokio::test]
async fn a_full_queue_refuses_orders_at_once_and_has_room_for_cancels() {
    let url = database().await;
    let proxy = Proxy::start(server_of(&url)).await;
    let replica = TestReplica::with_queue(&proxy.url(&url), QUEUE_LIMIT);
    replica.leads().await;
    // A commit that does not end blocks every later command.
    proxy.stall();
    let engine = replica.engine.clone();
    let submit = |command: Command| -> Submitting {
        let engine = engine.clone();
        Box::pin(async move { engine.submit(command, None).await })
    };
    let mut waiting = vec![submit(create_account("stalled"))];
    assert!(poll!(waiting[0].as_mut()).is_pending());

    let mut full = false;
    for number in 0..TOO_MANY {
        let mut order = submit(if number % 2 == 0 { Command::Place(order()) } else { replace() });
        match poll!(order.as_mut()) {
            Poll::Pending => waiting.push(order),
            Poll::Ready(answer) => {
                assert_eq!(answer, Err(SubmitError::Busy));
                full = true;
                break;
            }
        }
        tokio::task::yield_now().await;
    }
    assert!(full, "{TOO_MANY} orders wait and none was refused: the queue is not bounded");

    let mut cancels = 0;
    loop {
        let mut cancel = submit(cancel_all_of_nobody());
        match poll!(cancel.as_mut()) {
            Poll::Pending => waiting.push(cancel),
            Poll::Ready(answer) => {
                assert_eq!(answer, Err(SubmitError::Busy));
                break;
            }
        }
        cancels += 1;
        assert!(cancels < TOO_MANY, "the cancels' room is not bounded");
    }
    assert!(cancels >= QUEUE_LIMIT / 4, "{cancels} cancels found room");

    // Every accepted command gets an answer.
    proxy.resume();
    for submitting in waiting {
        let answer = submitting.await;
        assert!(!matches!(answer, Err(SubmitError::Busy | SubmitError::Unknown)), "{answer:?}");
    }
    replica.end().await;
}

#[tokio::test]
async fn a_command_that_waited_past_its_window_is_not_executed() {
    let url = database().await;
    let replica = TestReplica::leading(&url).await;
    let past = 1;
    assert_eq!(replica.engine.submit(create_account("late"), Some(past)).await, Err(SubmitError::Expired));
    let future = i64::MAX;
    replica.engine.submit(create_account("in time"), Some(future)).await.unwrap();
    assert_eq!(replica.account("late"), None);
    replica.end().await;
}

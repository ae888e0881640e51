//! After a restart: the whole queue. What was under way may have arrived, and the wall's clock may have been set back meanwhile.

use jiff::SignedDuration;

use super::{Job, Work, deliver::given_up, work::item};
use crate::{
    incident::IncidentId,
    store::{audit, facts, incidents, outbox},
};

pub struct Resume;

#[derive(Debug, Default)]
pub struct Resumed {
    pub queue: Vec<crate::schedule::Item>,
    /// The channel of each message that was given up.
    pub given_up: Vec<&'static str>,
}

impl Job for Resume {
    type Answer = Resumed;

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<Self::Answer> {
        catch_up_with_clock(work).await?;
        let (mut resumed, mut after) = (Resumed::default(), 0);
        loop {
            let batch = outbox::queued_after(&mut work.connection, after, AT_ONCE).await?;
            let Some(last) = batch.last() else { return Ok(resumed) };
            after = last.id;
            for mut message in batch {
                if message.under_way && message.doubtful {
                    // Both attempts may have arrived: a third one is not made, as when its answer is lost.
                    let reason = "the program ended during its second attempt";
                    given_up(work, &message, reason, false, work.now).await?;
                    resumed.given_up.push(message.address.channel());
                    continue;
                }
                if message.under_way {
                    message.under_way = false;
                    message.doubtful = true;
                    message.attempts += 1;
                    outbox::save(&mut work.connection, &message).await?;
                }
                resumed.queue.push(item(&message));
            }
        }
    }
}

/// The fact up to which line of the audit trail a clock that was set back is made up for.
const MADE_UP_FOR: &str = "clock made up for until audit";
/// Clocks of one machine differ by this much without having been set.
const TOLERATED: SignedDuration = SignedDuration::from_secs(2);
/// Messages or incidents that are read into memory at once: the queue of a storm is long, its texts are longer.
const AT_ONCE: usize = 200;

/// When the newest thing that was written down lies in the future, the clock was set back by at least that much while the
/// program was down. Everything that waits would wait for that much longer: its times are moved along.
async fn catch_up_with_clock(work: &mut Work) -> anyhow::Result<()> {
    let known = facts::get(&mut work.connection, MADE_UP_FOR).await?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let Some((line, newest)) = audit::newest_after(&mut work.connection, known).await? else { return Ok(()) };
    let ahead = newest.duration_since(work.now);
    if ahead <= TOLERATED {
        return Ok(());
    }
    tracing::warn!(seconds = ahead.as_secs(), "the clock was set back while the program was down: what waits is moved along");
    outbox::move_back(&mut work.connection, ahead).await?;
    let mut after = IncidentId(0);
    loop {
        let batch = incidents::open_after(&mut work.connection, after, AT_ONCE).await?;
        let Some(last) = batch.last() else { break };
        after = last.id;
        for mut incident in batch {
            incident.move_back(ahead);
            incidents::save(&mut work.connection, &incident).await?;
        }
    }
    facts::set(&mut work.connection, MADE_UP_FOR, &line.to_string()).await?;
    Ok(())
}

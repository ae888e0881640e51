//! This module reads the calendars of schedules: at the start from the store, then again and again from their places.
//!
//! - A calendar that cannot be read or is invalid changes nothing: the last valid one applies, after a restart too.
//! - An address may contain a credential, so no error shows it.

use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::{
    calendar::{self, CALENDAR_BYTES, CalendarContent, CalendarNames},
    clock::Clock,
    config::{CalendarPlace, CalendarSource},
    metrics::CalendarMetrics,
    store::facts,
    writer::{Remember, Writer},
};

/// Timeout of one request.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Retry interval after a failed read, if the calendar is not read more often.
const AGAIN: Duration = Duration::from_secs(60);

/// Reads one calendar repeatedly.
pub(super) struct CalendarReader {
    source: CalendarSource,
    names: CalendarNames,
    writer: Writer,
    clock: Clock,
    metrics: CalendarMetrics,
    client: reqwest::Client,
    /// The last valid text.
    text: Option<String>,
    skipped: Vec<String>,
}

impl CalendarReader {
    /// Applies the last valid calendar of the store.
    pub async fn restore(source: CalendarSource, writer: Writer, clock: Clock, metrics: CalendarMetrics) -> anyhow::Result<Self> {
        let config = &writer.routing.config;
        let names = CalendarNames::new(config.people.iter().map(|person| person.name.as_str()), &source.people);
        // The target of a redirect must not learn the address.
        let client = reqwest::Client::builder().timeout(TIMEOUT).referer(false).build();
        let client = client.context("failed to build a client for calendars")?;
        let text = facts::get(&writer.readers, &fact(&source.schedule)).await?;
        let labels = [source.schedule.as_str()];
        // Until the first read, the age of the calendar counts from the start.
        metrics.read_at.with_label_values(&labels).set(clock.now().as_millisecond() as f64 / 1000.0);
        for outcome in ["done", "failed"] {
            metrics.reads.with_label_values(&[labels[0], outcome]);
        }
        let mut reader = Self { source, names, writer, clock, metrics, client, text: None, skipped: Vec::new() };
        if let Some(text) = text
            && let Err(error) = reader.apply(&text).await
        {
            tracing::warn!(schedule = reader.source.schedule, error = format!("{error:#}"), "ignoring the stored calendar");
        }
        Ok(reader)
    }

    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = match self.refresh().await {
                Ok(()) => self.source.refresh,
                Err(error) => {
                    tracing::warn!(
                        schedule = self.source.schedule,
                        error = format!("{error:#}"),
                        "failed to read the calendar; the last valid one applies"
                    );
                    // Time passes, so later shifts of the same text come into view.
                    if let Some(text) = self.text.clone() {
                        let _ = self.apply(&text).await;
                    }
                    self.source.refresh.min(AGAIN)
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    async fn refresh(&mut self) -> anyhow::Result<()> {
        let read = self.read().await;
        let outcome = if read.is_ok() { "done" } else { "failed" };
        self.metrics.reads.with_label_values(&[self.source.schedule.as_str(), outcome]).inc();
        read?;
        let now = self.clock.now().as_millisecond() as f64 / 1000.0;
        self.metrics.read_at.with_label_values(&[&self.source.schedule]).set(now);
        Ok(())
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let text = match &self.source.place {
            CalendarPlace::File(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || calendar::read_file(&path)).await.context("reading the file")??
            }
            CalendarPlace::Url(url) => self.fetch(url.expose()).await?,
        };
        let known = self.text.as_ref() == Some(&text);
        self.apply(&text).await?;
        if !known {
            let fact = Remember { name: fact(&self.source.schedule), value: text };
            self.writer.perform(fact).await?;
        }
        Ok(())
    }

    /// Applies a text, if it is a valid calendar.
    async fn apply(&mut self, text: &str) -> anyhow::Result<()> {
        let schedule = self.writer.routing.config.schedule(&self.source.schedule).context("the schedule is missing")?;
        let (own, names, zone, now) = (text.to_owned(), self.names.clone(), schedule.time_zone.clone(), self.clock.now());
        let parsed = tokio::task::spawn_blocking(move || calendar::read(&own, &names, &zone, now)).await;
        let CalendarContent { shifts, skipped } = parsed.context("the calendar cannot be parsed")??;
        if skipped != self.skipped {
            for event in &skipped {
                tracing::warn!(schedule = self.source.schedule, calendar.event = event, "an event of the calendar has no effect");
            }
        }
        let count = i64::try_from(skipped.len()).unwrap_or(i64::MAX);
        self.metrics.skipped.with_label_values(&[&self.source.schedule]).set(count);
        self.skipped = skipped;
        self.writer.routing.set_calendar(self.source.schedule.clone(), shifts);
        self.text = Some(text.to_owned());
        Ok(())
    }

    async fn fetch(&self, url: &str) -> anyhow::Result<String> {
        let mut reply = self.client.get(url).send().await.map_err(reqwest::Error::without_url)?;
        anyhow::ensure!(reply.status().is_success(), "the server answered {}", reply.status());
        let mut bytes = Vec::new();
        while let Some(chunk) = reply.chunk().await.map_err(reqwest::Error::without_url)? {
            anyhow::ensure!(bytes.len() + chunk.len() <= CALENDAR_BYTES, "is larger than {} MiB", CALENDAR_BYTES >> 20);
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes).context("is not UTF-8")
    }
}

/// Name of the fact that stores the last valid text.
fn fact(schedule: &str) -> String {
    format!("calendar {schedule}")
}

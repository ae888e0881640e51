//! This module logs a panic as one line, so that a query can find it, count it and join it to its request.

use std::{backtrace::Backtrace, panic::PanicHookInfo, sync::Arc};

use super::{Service, line::LogLine, output::LogOutput};

pub(super) fn install(service: Service, output: Arc<LogOutput>) {
    // Does not use `tracing`: the panic may come from inside it.
    std::panic::set_hook(Box::new(move |info| report(service, &output, info)));
}

fn report(service: Service, output: &LogOutput, info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("a panic whose payload is not text");
    let fill = |line: &mut LogLine<'_>| {
        line.text("message", "panic");
        line.text("log.logger", "panic");
        line.text("error.type", "panic");
        line.text("error.message", message);
        if let Some(place) = info.location() {
            line.text("log.origin.file.name", place.file());
            line.json("log.origin.file.line", place.line().to_string().as_bytes());
        }
        if let Some(context) = crate::trace::current() {
            line.trace(context);
        }
        line.text("error.stack_trace", &Backtrace::force_capture().to_string());
    };
    LogLine::with("error", service, fill, |line| output.write(line));
}

//! Persian. Values are isolated, so that a Latin name or a number does not turn the words around it. Digits stay Latin: people
//! type them back.

use super::{Saying, Word};
use crate::{
    incident::Severity,
    message::{
        age::{Age, Unit},
        bidi::isolate,
    },
};

pub(super) fn word(word: Word) -> &'static str {
    match word {
        Word::Critical => "بحرانی",
        Word::Warning => "هشدار",
        Word::Info => "آگاهی",
        Word::Firing => "فعال",
        Word::Acknowledged => "پذیرفته",
        Word::Resolved => "برطرف شد",
        Word::Since => "از",
        Word::Lasted => "مدت",
        Word::Value => "مقدار",
        Word::Runbook => "راهنما",
        Word::Dashboard => "داشبورد",
        Word::Source => "عبارت",
        Word::SilenceLink => "سکوت",
        Word::Suppressed => "در Alertmanager ساکت است",
        Word::Gone => "بی‌خبر ناپدید شد",
        Word::Acknowledge => "می‌پذیرم",
        Word::AcknowledgeAll => "همه را می‌پذیرم",
        Word::Release => "پس می‌دهم",
        Word::Escalate => "به نفر بعد",
        Word::Graph => "نمودار",
        Word::Unsilence => "پایان سکوت",
        Word::Repetition => "شاید این را پیش‌تر گرفته باشید: پاسخ ارسال آن گم شد.",
        Word::Nobody => "هیچ‌کس",
        Word::Test => "این آزمایش ربات هشدار است. مشکلی نیست.",
    }
}

pub(super) fn say(saying: Saying) -> String {
    match saying {
        Saying::Age(age) => said_age(age),
        Saying::Counts { firing, resolved: 0 } => format!("{firing} فعال"),
        Saying::Counts { firing: 0, resolved } => format!("{resolved} برطرف‌شده"),
        Saying::Counts { firing, resolved } => format!("{firing} فعال، {resolved} برطرف‌شده"),
        Saying::More { count } => format!("و {count} مورد دیگر"),
        Saying::Reopened => "دوباره فعال شد".into(),
        Saying::Flapping => "پیاپی فعال و برطرف می‌شود: تا آرام شود، تغییرها تنها در همین پیام می‌آیند".into(),
        Saying::SeverityRaised { from, to } => format!("اکنون {}، پیش‌تر {}", severity(to), severity(from)),
        Saying::Joined { count } => format!("{count} هشدار دیگر فعال شد"),
        Saying::Escalated { to, by: Some(by) } => format!("{} آن را بالا برد: اکنون به {} خبر داده شد", isolate(by), isolate(to)),
        Saying::Escalated { to, by: None } => format!("هنوز کسی نپذیرفته: اکنون به {} خبر داده شد", isolate(to)),
        Saying::Reminded => "هنوز فعال است و کسی نپذیرفته".into(),
        Saying::AcknowledgementEnded { by } => format!("دیگر با {} نیست", isolate(by)),
        Saying::Reassigned { to, by } => format!("{} آن را به {} سپرد", isolate(by), isolate(to)),
        Saying::TakenBy { by } => format!("با {}", isolate(by)),
        Saying::SilencedBy { by, until } => format!("{} تا {} ساکتش کرد", isolate(by), isolate(until)),
        Saying::Digest { count } => format!("{count} هشدار با هم. آنچه فعال بماند، هرگاه در این گفتگو جا باشد جداگانه می‌آید."),
        Saying::DigestHelp => format!("{} و شماره، یکی را می‌پذیرد", isolate("/ack")),
        Saying::SilenceFor { hours } if hours % 24 == 0 => format!("سکوت {} روز", hours / 24),
        Saying::SilenceFor { hours } => format!("سکوت {hours} ساعت"),
        Saying::Several { count } => format!("{count} هشدار"),
        Saying::Code { code } => format!("پاسخ: ACK {code}"),
        Saying::CodeTaken { code, title } => format!("{code} با شماست: {title}"),
        Saying::CodeEnded { code, title } => format!("{code} پایان یافته: {title}"),
        Saying::CodeYours { code } => format!("{code} از پیش با شماست."),
        Saying::CodeUnknown { code } => format!("رویداد بازی با کد {code} نیست."),
        Saying::Handover { schedule, from, to } => {
            format!("{}: اکنون کشیک با {} است؛ {} می‌رود.", isolate(schedule), isolate(to), isolate(from))
        }
        Saying::YouBegin { schedule, until } => format!("کشیک شما آغاز شد: {}، تا {}.", isolate(schedule), isolate(until)),
        Saying::YouEnd { schedule, to } => format!("کشیک شما پایان یافت: {}. اکنون: {}.", isolate(schedule), isolate(to)),
    }
}

fn severity(severity: Severity) -> &'static str {
    word(Word::of_severity(severity))
}

fn said_age(age: Age) -> String {
    let part = |(unit, count): (Unit, u64)| {
        let unit = match unit {
            Unit::Second => "ثانیه",
            Unit::Minute => "دقیقه",
            Unit::Hour => "ساعت",
            Unit::Day => "روز",
        };
        format!("{count} {unit}")
    };
    match age.second {
        Some(second) => format!("{} و {}", part(age.first), part(second)),
        None => part(age.first),
    }
}

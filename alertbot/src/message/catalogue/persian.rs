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
        Saying::LabelsLeft { count } => format!("و {count} برچسب دیگر"),
        Saying::Reopened => "دوباره فعال شد".into(),
        Saying::Flapping => "پیاپی فعال و برطرف می‌شود: تا آرام شود، تغییرها تنها در همین پیام می‌آیند".into(),
        Saying::SeverityRaised { from, to } => format!("اکنون {}، پیش‌تر {}", severity(to), severity(from)),
        Saying::Joined { count } => format!("{count} هشدار دیگر فعال شد"),
        Saying::Escalated { to, by: Some(by) } => format!("{} آن را بالا برد: اکنون به {} خبر داده شد", isolate(by), isolate(to)),
        Saying::Escalated { to, by: None } => format!("هنوز کسی نپذیرفته: اکنون به {} خبر داده شد", isolate(to)),
        Saying::EscalationLost => "پیکربندی دیگر برای این رخداد زنجیرهٔ خبررسانی ندارد: کسی خبر نمی‌شود".into(),
        Saying::BlindSince { at } => format!("پایش از {at} کور است: وضعیت معلوم نیست"),
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
        Saying::Yours { incident } => format!("{} با شماست.", isolate(incident)),
        Saying::YoursAlready => "از پیش با شماست.".into(),
        Saying::AllYours { count } => format!("{count} مورد پذیرفته شد."),
        Saying::Ended => "پایان یافته است.".into(),
        Saying::NoSuchIncident { named } => format!("رویداد بازی با شماره {} نیست.", isolate(named)),
        Saying::Escalating => "به نفرات بعدی خبر داده می‌شود.".into(),
        Saying::NobodyToEscalateTo => "پایان یافته، یا برای آن تشدیدی تعریف نشده است.".into(),
        Saying::Given { to } => format!("اکنون با {} است.", isolate(to)),
        Saying::Released => "اکنون با کسی نیست.".into(),
        Saying::SilencedUntil { until, alerts } => {
            format!("تا {} ساکت شد: {alerts} هشدار فعال را در بر می‌گیرد.", isolate(until))
        }
        Saying::ConfirmSilence { alerts, hours } => {
            format!("این سکوت {alerts} هشدار فعال را برای {hours} ساعت در بر می‌گیرد. اگر می‌خواهید، دکمه را بزنید.")
        }
        Saying::NothingShared => "هشدارها برچسب مشترکی ندارند و سکوت همه چیز را می‌گرفت. آن را در Alertmanager بگذارید.".into(),
        Saying::SilenceEnded => "سکوت پایان یافت.".into(),
        Saying::NoSilenceOfIt => "سکوتی از اینجا برای آن گذاشته نشده است.".into(),
        Saying::NoApiAddress => "نشانی API این Alertmanager در پیکربندی نیست.".into(),
        Saying::AlertmanagerFailed => "Alertmanager انجامش نداد؛ علت در گزارش است.".into(),
        Saying::Drawing => "تصویر در راه است.".into(),
        Saying::NoExpression => "هشدارهای آن عبارتی ندارند.".into(),
        Saying::NoPicture { reason } => format!("تصویری نیست. {}", isolate(reason)),
        Saying::NoPrometheus => "در پیکربندی Prometheus نیست.".into(),
        Saying::RoleForbids => "نقش شما این اجازه را ندارد.".into(),
        Saying::WhoAreYou => "نمی‌دانم که هستید: به نام خودتان بنویسید، نه گروه.".into(),
        Saying::Stranger { user, chat } => {
            let chat = isolate(&chat.to_string());
            format!("شما در فهرست من نیستید. مدیر می‌تواند شما را بیفزاید: کاربر {user}، گفتگو {chat}.")
        }
        Saying::NotInThisChat { chat } => format!("در این گفتگو ({}) کار نمی‌کنم.", isolate(&chat.to_string())),
        Saying::NothingOpen => "چیزی باز نیست.".into(),
        Saying::Open { count } => format!("{count} مورد باز:"),
        Saying::NothingSilenced => "چیزی ساکت نیست.".into(),
        Saying::Silences { count } => format!("{count} سکوت:"),
        Saying::OnDutyUntil { until, next } => format!("تا {until}، سپس {next}"),
        Saying::OnDuty => "کشیک:".into(),
        Saying::Overridden { schedule, person, until } => {
            format!("{}: تا {} کشیک با {} است.", isolate(schedule), isolate(until), isolate(person))
        }
        Saying::OverrideEnded { schedule } => format!("{}: جانشینی پایان یافت و برنامه کشیک برقرار است.", isolate(schedule)),
        Saying::NoOverride { schedule } => format!("{} جانشینی با فرمان ندارد.", isolate(schedule)),
        Saying::NoSchedules => "در پیکربندی برنامه کشیکی نیست.".into(),
        Saying::Usage { usage } => format!("چنین بنویسید: {}", isolate(usage)),
        Saying::TryAgain => "نشد و چیزی تغییر نکرد. دوباره بکوشید.".into(),
        Saying::Ids { chat, user } => format!("گفتگو {}، کاربر {user}.", isolate(&chat.to_string())),
        Saying::Help => HELP.iter().map(|(command, what)| format!("{} {what}", isolate(command))).collect::<Vec<_>>().join("\n"),
        Saying::Handover { schedule, from, to } => {
            format!("{}: اکنون کشیک با {} است؛ {} می‌رود.", isolate(schedule), isolate(to), isolate(from))
        }
        Saying::YouBegin { schedule, until } => format!("کشیک شما آغاز شد: {}، تا {}.", isolate(schedule), isolate(until)),
        Saying::YouEnd { schedule, to } => format!("کشیک شما پایان یافت: {}. اکنون: {}.", isolate(schedule), isolate(to)),
    }
}

const HELP: [(&str, &str); 11] = [
    ("/alerts", "موارد باز"),
    ("/ack <number>", "پذیرفتن"),
    ("/release <number>", "پس دادن"),
    ("/escalate <number>", "خبر دادن به نفرات بعدی"),
    ("/assign <number> <name>", "سپردن به دیگری"),
    ("/silences", "سکوت‌ها"),
    ("/unsilence <id>", "پایان سکوت"),
    ("/oncall", "کشیک"),
    ("/override <schedule> [name] 8h", "جانشینی تا آن زمان؛ off آن را پایان می‌دهد"),
    ("/graph <PromQL>", "نمودار ساعت گذشته"),
    ("/id", "شناسه گفتگو و شما"),
];

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

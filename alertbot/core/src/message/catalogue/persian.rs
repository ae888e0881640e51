//! Persian. Values are isolated, so that a Latin name or a number does not reorder the text around it. Digits stay Latin, because
//! people type them back.

use super::{Text, Word};
use crate::{
    alert::Severity,
    message::{
        age::{Age, AgeUnit},
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
        Word::Logs => "گزارش‌ها",
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

pub(super) fn say(saying: Text) -> String {
    match saying {
        Text::Age(age) => said_age(age),
        Text::Counts { firing, resolved: 0 } => format!("{firing} فعال"),
        Text::Counts { firing: 0, resolved } => format!("{resolved} برطرف‌شده"),
        Text::Counts { firing, resolved } => format!("{firing} فعال، {resolved} برطرف‌شده"),
        Text::More { count } => format!("و {count} مورد دیگر"),
        Text::LabelsLeft { count } => format!("و {count} برچسب دیگر"),
        Text::Reopened => "دوباره فعال شد".into(),
        Text::Flapping => "پیاپی فعال و برطرف می‌شود: تا آرام شود، تغییرها تنها در همین پیام می‌آیند".into(),
        Text::SeverityRaised { from, to } => format!("اکنون {}، پیش‌تر {}", severity(to), severity(from)),
        Text::Joined { count } => format!("{count} هشدار دیگر فعال شد"),
        Text::Escalated { to, by: Some(by) } => format!("{} آن را بالا برد: اکنون به {} خبر داده شد", isolate(by), isolate(to)),
        Text::Escalated { to, by: None } => format!("هنوز کسی نپذیرفته: اکنون به {} خبر داده شد", isolate(to)),
        Text::EscalationLost => "پیکربندی دیگر برای این رخداد زنجیرهٔ خبررسانی ندارد: کسی خبر نمی‌شود".into(),
        Text::BlindSince { at } => format!("پایش از {at} کور است: وضعیت معلوم نیست"),
        Text::Reminded => "هنوز فعال است و کسی نپذیرفته".into(),
        Text::AcknowledgementEnded { by } => format!("دیگر با {} نیست", isolate(by)),
        Text::Reassigned { to, by } => format!("{} آن را به {} سپرد", isolate(by), isolate(to)),
        Text::CausedBy { by } => format!("علت: {}", isolate(by)),
        Text::TakenBy { by } => format!("با {}", isolate(by)),
        Text::SilencedBy { by, until } => format!("{} تا {} ساکتش کرد", isolate(by), isolate(until)),
        Text::Digest { count } => format!("{count} هشدار با هم. آنچه فعال بماند، هرگاه در این گفتگو جا باشد جداگانه می‌آید."),
        Text::DigestHelp => format!("{} و شماره، یکی را می‌پذیرد", isolate("/ack")),
        Text::SilenceFor { hours } if hours % 24 == 0 => format!("سکوت {} روز", hours / 24),
        Text::SilenceFor { hours } => format!("سکوت {hours} ساعت"),
        Text::Several { count } => format!("{count} هشدار"),
        Text::Code { code } => format!("پاسخ: ACK {code}"),
        Text::CodeTaken { code, title } => format!("{code} با شماست: {title}"),
        Text::CodeEnded { code, title } => format!("{code} پایان یافته: {title}"),
        Text::CodeYours { code } => format!("{code} از پیش با شماست."),
        Text::CodeUnknown { code } => format!("رویداد بازی با کد {code} نیست."),
        Text::Yours { incident } => format!("{} با شماست.", isolate(incident)),
        Text::YoursAlready => "از پیش با شماست.".into(),
        Text::AllYours { count } => format!("{count} مورد پذیرفته شد."),
        Text::Ended => "پایان یافته است.".into(),
        Text::NoSuchIncident { named } => format!("رویداد بازی با شماره {} نیست.", isolate(named)),
        Text::Escalating => "به نفرات بعدی خبر داده می‌شود.".into(),
        Text::NobodyToEscalateTo => "پایان یافته، یا برای آن تشدیدی تعریف نشده است.".into(),
        Text::Given { to } => format!("اکنون با {} است.", isolate(to)),
        Text::Released => "اکنون با کسی نیست.".into(),
        Text::SilencedUntil { until, alerts } => {
            format!("تا {} ساکت شد: {alerts} هشدار فعال را در بر می‌گیرد.", isolate(until))
        }
        Text::ConfirmSilence { alerts, hours } => {
            format!("این سکوت {alerts} هشدار فعال را برای {hours} ساعت در بر می‌گیرد. اگر می‌خواهید، دکمه را بزنید.")
        }
        Text::NothingShared => "هشدارها برچسب مشترکی ندارند و سکوت همه چیز را می‌گرفت. آن را در Alertmanager بگذارید.".into(),
        Text::SilenceEnded => "سکوت پایان یافت.".into(),
        Text::NoSilenceOfIt => "سکوتی از اینجا برای آن گذاشته نشده است.".into(),
        Text::NoApiAddress => "نشانی API این Alertmanager در پیکربندی نیست.".into(),
        Text::AlertmanagerFailed => "Alertmanager انجامش نداد؛ علت در گزارش است.".into(),
        Text::Drawing => "تصویر در راه است.".into(),
        Text::NoExpression => "هشدارهای آن عبارتی ندارند.".into(),
        Text::NoPicture { reason } => format!("تصویری نیست. {}", isolate(reason)),
        Text::NoPrometheus => "در پیکربندی Prometheus نیست.".into(),
        Text::RoleForbids => "نقش شما این اجازه را ندارد.".into(),
        Text::WhoAreYou => "نمی‌دانم که هستید: به نام خودتان بنویسید، نه گروه.".into(),
        Text::Stranger { user, chat } => {
            let chat = isolate(&chat.to_string());
            format!("شما در فهرست من نیستید. مدیر می‌تواند شما را بیفزاید: کاربر {user}، گفتگو {chat}.")
        }
        Text::NotInThisChat { chat } => format!("در این گفتگو ({}) کار نمی‌کنم.", isolate(&chat.to_string())),
        Text::NothingOpen => "چیزی باز نیست.".into(),
        Text::Open { count } => format!("{count} مورد باز:"),
        Text::NothingSilenced => "چیزی ساکت نیست.".into(),
        Text::Silences { count } => format!("{count} سکوت:"),
        Text::OnDutyUntil { until, next } => format!("تا {until}، سپس {next}"),
        Text::OnDuty => "کشیک:".into(),
        Text::Overridden { schedule, person, until } => {
            format!("{}: تا {} کشیک با {} است.", isolate(schedule), isolate(until), isolate(person))
        }
        Text::OverrideEnded { schedule } => format!("{}: جانشینی پایان یافت و برنامه کشیک برقرار است.", isolate(schedule)),
        Text::NoOverride { schedule } => format!("{} جانشینی با فرمان ندارد.", isolate(schedule)),
        Text::NoSchedules => "در پیکربندی برنامه کشیکی نیست.".into(),
        Text::Usage { usage } => format!("چنین بنویسید: {}", isolate(usage)),
        Text::TryAgain => "نشد و چیزی تغییر نکرد. دوباره بکوشید.".into(),
        Text::Ids { chat, user } => format!("گفتگو {}، کاربر {user}.", isolate(&chat.to_string())),
        Text::Help => HELP.iter().map(|(command, what)| format!("{} {what}", isolate(command))).collect::<Vec<_>>().join("\n"),
        Text::Handover { schedule, from, to } => {
            format!("{}: اکنون کشیک با {} است؛ {} می‌رود.", isolate(schedule), isolate(to), isolate(from))
        }
        Text::YouBegin { schedule, until } => format!("کشیک شما آغاز شد: {}، تا {}.", isolate(schedule), isolate(until)),
        Text::YouEnd { schedule, to } => format!("کشیک شما پایان یافت: {}. اکنون: {}.", isolate(schedule), isolate(to)),
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
    let part = |(unit, count): (AgeUnit, u64)| {
        let unit = match unit {
            AgeUnit::Second => "ثانیه",
            AgeUnit::Minute => "دقیقه",
            AgeUnit::Hour => "ساعت",
            AgeUnit::Day => "روز",
        };
        format!("{count} {unit}")
    };
    match age.second {
        Some(second) => format!("{} و {}", part(age.first), part(second)),
        None => part(age.first),
    }
}

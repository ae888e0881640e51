//! What the bot answers people, in the languages that it speaks. Values come in escaped.

use crate::config::Language;

/// One answer. The values are HTML already.
#[derive(Debug, Clone)]
pub enum Phrase<'a> {
    Acknowledged { incident: &'a str },
    AcknowledgedAll { count: usize },
    YoursAlready,
    Ended,
    Unknown { name: &'a str },
    Escalated,
    NobodyToEscalateTo,
    Silenced { until: &'a str, alerts: usize },
    ConfirmSilence { alerts: usize, lasts: &'a str },
    NothingInCommon,
    Unsilenced,
    NoSilence,
    NoAlertmanager,
    AlertmanagerFailed,
    Reassigned { to: &'a str },
    Released,
    Drawing,
    NoExpression,
    NotAllowed,
    Anonymous,
    Stranger { user: &'a str, chat: &'a str },
    WrongChat { chat: &'a str },
    NoAlerts,
    Alerts { count: usize },
    NoSilences,
    Silences { count: usize },
    OnDuty,
    NobodyOnDuty,
    NoSchedules,
    Usage { usage: &'a str },
    TryAgain,
    Ids { chat: &'a str, user: &'a str },
    Help,
    TakenBy { by: &'a str },
    Confirm,
    More { count: usize },
}

pub fn phrase(language: Language, phrase: &Phrase) -> String {
    match language {
        Language::English => english(phrase),
        Language::Persian => persian(phrase),
    }
}

fn english(phrase: &Phrase) -> String {
    match phrase {
        Phrase::Acknowledged { incident } => format!("You have {incident}."),
        Phrase::AcknowledgedAll { count } => format!("{count} acknowledged."),
        Phrase::YoursAlready => "It is yours already.".into(),
        Phrase::Ended => "It has ended.".into(),
        Phrase::Unknown { name } => format!("There is no open incident {name}."),
        Phrase::Escalated => "The next ones are being told.".into(),
        Phrase::NobodyToEscalateTo => "It has ended, or its route has no escalation.".into(),
        Phrase::Silenced { until, alerts } => format!("Silenced until {until}: {alerts} firing alerts match."),
        Phrase::ConfirmSilence { alerts, lasts } => {
            format!("This silence would cover {alerts} firing alerts for {lasts}. Press the button to set it all the same.")
        }
        Phrase::NothingInCommon => "The alerts share no label: a silence would cover everything. Set it in Alertmanager.".into(),
        Phrase::Unsilenced => "The silence has ended.".into(),
        Phrase::NoSilence => "No silence of it was set here.".into(),
        Phrase::NoAlertmanager => "The configuration names no API address of its Alertmanager.".into(),
        Phrase::AlertmanagerFailed => "Alertmanager did not do it; the log says why.".into(),
        Phrase::Reassigned { to } => format!("{to} has it now."),
        Phrase::Released => "Nobody has it now.".into(),
        Phrase::Drawing => "The picture follows.".into(),
        Phrase::NoExpression => "Its alerts name no expression.".into(),
        Phrase::NotAllowed => "Your role does not allow that.".into(),
        Phrase::Anonymous => "I cannot know who you are: write as yourself, not as the group.".into(),
        Phrase::Stranger { user, chat } => {
            format!("You are not among my people. An administrator can add you: user {user}, chat {chat}.")
        }
        Phrase::WrongChat { chat } => format!("I do not work in this chat ({chat})."),
        Phrase::NoAlerts => "Nothing is open.".into(),
        Phrase::Alerts { count } => format!("{count} open:"),
        Phrase::NoSilences => "Nothing is silenced.".into(),
        Phrase::Silences { count } => format!("{count} silences:"),
        Phrase::OnDuty => "On duty:".into(),
        Phrase::NobodyOnDuty => "nobody".into(),
        Phrase::NoSchedules => "The configuration has no schedules.".into(),
        Phrase::Usage { usage } => format!("Write it as {usage}"),
        Phrase::TryAgain => "That did not work: nothing was changed. Try again.".into(),
        Phrase::Ids { chat, user } => format!("Chat {chat}, user {user}."),
        Phrase::Help => "/alerts what is open\n/ack &lt;number&gt; take it\n/release &lt;number&gt; give it back\n/assign &lt;number&gt; &lt;name&gt; hand it over\n/silences what is silenced\n/unsilence &lt;id&gt; end a silence\n/oncall who is on duty\n/graph &lt;PromQL&gt; draw the last hour\n/id the ids of this chat and of you".into(),
        Phrase::TakenBy { by } => format!("taken by {by}"),
        Phrase::Confirm => "Silence".into(),
        Phrase::More { count } => format!("and {count} more"),
    }
}

fn persian(phrase: &Phrase) -> String {
    match phrase {
        Phrase::Acknowledged { incident } => format!("{incident} با شماست."),
        Phrase::AcknowledgedAll { count } => format!("{count} مورد پذیرفته شد."),
        Phrase::YoursAlready => "از پیش با شماست.".into(),
        Phrase::Ended => "پایان یافته است.".into(),
        Phrase::Unknown { name } => format!("رویداد بازی با شماره {name} نیست."),
        Phrase::Escalated => "به نفرات بعدی خبر داده می‌شود.".into(),
        Phrase::NobodyToEscalateTo => "پایان یافته، یا برای آن تشدیدی تعریف نشده است.".into(),
        Phrase::Silenced { until, alerts } => format!("تا {until} ساکت شد: {alerts} هشدار فعال را در بر می‌گیرد."),
        Phrase::ConfirmSilence { alerts, lasts } => {
            format!("این سکوت {alerts} هشدار فعال را برای {lasts} در بر می‌گیرد. اگر می‌خواهید، دکمه را بزنید.")
        }
        Phrase::NothingInCommon => "هشدارها برچسب مشترکی ندارند و سکوت همه چیز را می‌گرفت. آن را در Alertmanager بگذارید.".into(),
        Phrase::Unsilenced => "سکوت پایان یافت.".into(),
        Phrase::NoSilence => "سکوتی از اینجا برای آن گذاشته نشده است.".into(),
        Phrase::NoAlertmanager => "نشانی API این Alertmanager در پیکربندی نیست.".into(),
        Phrase::AlertmanagerFailed => "Alertmanager انجامش نداد؛ علت در گزارش است.".into(),
        Phrase::Reassigned { to } => format!("اکنون با {to} است."),
        Phrase::Released => "اکنون با کسی نیست.".into(),
        Phrase::Drawing => "تصویر در راه است.".into(),
        Phrase::NoExpression => "هشدارهای آن عبارتی ندارند.".into(),
        Phrase::NotAllowed => "نقش شما این اجازه را ندارد.".into(),
        Phrase::Anonymous => "نمی‌دانم که هستید: به نام خودتان بنویسید، نه گروه.".into(),
        Phrase::Stranger { user, chat } => {
            format!("شما در فهرست من نیستید. مدیر می‌تواند شما را بیفزاید: کاربر {user}، گفتگو {chat}.")
        }
        Phrase::WrongChat { chat } => format!("در این گفتگو ({chat}) کار نمی‌کنم."),
        Phrase::NoAlerts => "چیزی باز نیست.".into(),
        Phrase::Alerts { count } => format!("{count} مورد باز:"),
        Phrase::NoSilences => "چیزی ساکت نیست.".into(),
        Phrase::Silences { count } => format!("{count} سکوت:"),
        Phrase::OnDuty => "کشیک:".into(),
        Phrase::NobodyOnDuty => "هیچ‌کس".into(),
        Phrase::NoSchedules => "در پیکربندی برنامه کشیکی نیست.".into(),
        Phrase::Usage { usage } => format!("چنین بنویسید: {usage}"),
        Phrase::TryAgain => "نشد و چیزی تغییر نکرد. دوباره بکوشید.".into(),
        Phrase::Ids { chat, user } => format!("گفتگو {chat}، کاربر {user}."),
        Phrase::Help => "/alerts موارد باز\n/ack &lt;شماره&gt; پذیرفتن\n/release &lt;شماره&gt; پس دادن\n/assign &lt;شماره&gt; &lt;نام&gt; سپردن به دیگری\n/silences سکوت‌ها\n/unsilence &lt;شناسه&gt; پایان سکوت\n/oncall کشیک\n/graph &lt;PromQL&gt; نمودار ساعت گذشته\n/id شناسه گفتگو و شما".into(),
        Phrase::TakenBy { by } => format!("با {by}"),
        Phrase::Confirm => "سکوت".into(),
        Phrase::More { count } => format!("و {count} مورد دیگر"),
    }
}

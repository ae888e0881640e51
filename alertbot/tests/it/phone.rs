//! Telephones, through a real SMS gateway: the next person is called, Persian arrives, and `ACK` by SMS takes it.

use jiff::{SignedDuration, Timestamp};
use local_parts::{Kannel, KannelOptions, SentSms, free_ports};
use telegram_emulator::{Emulator, FaultKind, InjectedFault, Seed};

use crate::{
    bot::{OPERATIONS, Settings, message_with, until},
    payloads::{alert, group, single},
    program::Program,
};

const CALLBACK: &str = "callback-of-tests-that-nobody-guesses";
const ADA: &str = "+15550100001";
const BEHRANG: &str = "+989121234567";
const BOTS_NUMBER: &str = "1000";

/// A gateway and the settings of a bot that uses it.
async fn gateway(emulator: &Emulator, folder: &tempfile::TempDir, steps: &str) -> (Kannel, Settings) {
    let mut settings = Settings::new(emulator, folder);
    settings.ports = free_ports().unwrap();
    let own = format!("http://127.0.0.1:{}", settings.ports[0]);
    let inbound_url = Some(format!("{own}/phone/kannel/{CALLBACK}"));
    let kannel = Kannel::start(KannelOptions { inbound_url }).await.unwrap();
    let access = kannel.access();
    settings.secrets =
        vec![("ALERTBOT_KANNEL_PASSWORD", access.password.clone()), ("ALERTBOT_KANNEL_CALLBACK", CALLBACK.to_owned())];
    settings.rest = format!(
        "
public_url: {own}
providers:
  - name: kannel
    kind: kannel
    url: {url}
    username: {username}
    password: ${{ALERTBOT_KANNEL_PASSWORD}}
    from: \"{BOTS_NUMBER}\"
    callback_token: ${{ALERTBOT_KANNEL_CALLBACK}}
people:
  - {{name: ada, telegram: 11, phone: \"{ADA}\", sms: kannel, role: admin}}
  - {{name: behrang, phone: \"{BEHRANG}\", sms: kannel, language: fa}}
escalations:
  - name: calls
    steps:
{steps}
routes:
  - {{name: everything, chats: [operations], escalation: calls}}
incidents:
  critical_within: 3s
",
        url = access.sendsms_url,
        username = access.username,
    );
    (kannel, settings)
}

/// Every text that one phone received, its parts joined.
fn got(kannel: &Kannel, number: &str) -> Vec<String> {
    let mut whole: Vec<String> = Vec::new();
    for SentSms { to, text, part, .. } in kannel.sent() {
        if to.trim_start_matches('+') != number.trim_start_matches('+') {
            continue;
        }
        match (part, whole.last_mut()) {
            (Some((part, _)), Some(last)) if part > 1 => last.push_str(&text),
            _ => whole.push(text),
        }
    }
    whole
}

#[tokio::test]
async fn nobody_takes_it_so_the_next_ones_telephone_rings_also_when_the_bot_was_dead_and_his_sms_takes_it() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let steps = "      - {after: 2s, people: [behrang], by: [sms]}\n      - {after: 5m, people: [ada], by: [sms]}";
    let (kannel, mut settings) = gateway(&emulator, &folder, steps).await;
    let mut program = Program::start(&mut settings, &[]).await;
    let began = Timestamp::now();
    let mut disk = alert("firing", serde_json::json!({"alertname": "DiskFull", "severity": "critical"}), began);
    disk["annotations"]["summary"] = "دیسک پایگاه داده پر است".into();
    assert_eq!(program.post(&group("DiskFull", &[disk])).await, Some(200));
    message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    program.kill().await;
    assert!(got(&kannel, BEHRANG).is_empty());
    until("his time comes", async || Timestamp::now().duration_since(began) > SignedDuration::from_secs(3)).await;
    program.begin(&settings, &[]).await;
    until("his telephone has it", async || !got(&kannel, BEHRANG).is_empty()).await;
    let text = got(&kannel, BEHRANG).remove(0);
    assert!(text.contains("دیسک پایگاه داده پر است"), "Persian arrives unchanged: {text}");
    assert!(kannel.sent().iter().all(|part| part.is_ucs2 && part.text.encode_utf16().count() <= 70), "{:?}", kannel.sent());
    until("its delivery is reported", async || {
        program.metric("alertbot_callbacks_total{provider=\"kannel\",kind=\"delivery\"}").await
            + program.metric("alertbot_callbacks_total{kind=\"delivery\",provider=\"kannel\"}").await
            > 0.0
    })
    .await;

    let code = code_in(&text);
    kannel.receive(BEHRANG, BOTS_NUMBER, &format!("ACK {code}")).await.unwrap();
    let taken = |message: &telegram_emulator::ChatMessage| message.edited.is_some() && message.text.contains("behrang");
    until("it is his", async || emulator.messages(OPERATIONS).iter().any(taken)).await;
    until("the person is notified", async || got(&kannel, BEHRANG).len() == 2).await;
    assert_eq!(program.metric("alertbot_open_incidents{phase=\"firing\",severity=\"critical\"}").await, 0.0);
    assert!(got(&kannel, ADA).is_empty(), "he has it");
}

/// Two messages to one phone are twenty seconds apart; all that occurs in between is one message.
#[tokio::test]
async fn an_answer_and_what_fires_meanwhile_are_one_sms_that_says_both() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (kannel, mut settings) = gateway(&emulator, &folder, "      - {people: [ada], by: [sms]}").await;
    let program = Program::start(&mut settings, &[]).await;
    assert_eq!(program.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, Some(200));
    until("her telephone has it", async || !got(&kannel, ADA).is_empty()).await;
    let code = code_in(&got(&kannel, ADA)[0]);
    kannel.receive(ADA, BOTS_NUMBER, &format!("ACK {code}")).await.unwrap();
    until("it is hers", async || {
        emulator.messages(OPERATIONS).iter().any(|message| message.text.contains("Acknowledged by ada"))
    })
    .await;
    assert_eq!(program.metric("alertbot_actions_total{action=\"acknowledge\",outcome=\"done\"}").await, 1.0, "by SMS");
    assert_eq!(program.post(&single("QueueSlow", "warning", "firing", Timestamp::now())).await, Some(200));
    until("the second message is there", async || got(&kannel, ADA).len() >= 2).await;
    let second = got(&kannel, ADA).remove(1);
    assert!(second.contains("QueueSlow") && second.contains(&format!("{code} acknowledged: DiskFull")), "{second}");
    assert_ne!(code_in(&second), code, "the warning has another code: {second}");
}

/// Persian takes two bytes a letter: 70 in one message, 67 in each part of several.
#[tokio::test]
async fn a_persian_text_of_two_parts_arrives_as_it_was_written_and_is_counted_as_two() {
    const SUMMARY: &str = "پایگاه دادهٔ سفارش‌ها تا چهل دقیقهٔ دیگر پر می‌شود و سپس هیچ سفارشی پذیرفته نخواهد شد";
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (kannel, mut settings) = gateway(&emulator, &folder, "      - {people: [behrang], by: [sms]}").await;
    let program = Program::start(&mut settings, &[]).await;
    let mut disk = alert("firing", serde_json::json!({"alertname": "DiskFull", "severity": "critical"}), Timestamp::now());
    disk["annotations"]["summary"] = SUMMARY.into();
    assert_eq!(program.post(&group("DiskFull", &[disk])).await, Some(200));
    until("both parts are there", async || kannel.sent().len() >= 2).await;
    let sent = kannel.sent();
    assert_eq!(sent.iter().map(|sms| sms.part).collect::<Vec<_>>(), [Some((1, 2)), Some((2, 2))], "{sent:?}");
    assert!(sent.iter().all(|sms| sms.is_ucs2 && sms.text.encode_utf16().count() <= 67), "{sent:?}");
    let text = got(&kannel, BEHRANG).remove(0);
    assert!(text.contains(SUMMARY) && !text.contains('…') && !code_in(&text).is_empty(), "{text}");
    assert_eq!(alertbot_core::message::sms::parts(&text), 2, "the bot counts as the network does: {text}");
}

/// The digits behind `ACK`.
fn code_in(text: &str) -> String {
    let after = text.split("ACK").nth(1).unwrap_or_else(|| panic!("no code in {text}"));
    after.chars().skip_while(|character| !character.is_ascii_digit()).take_while(char::is_ascii_digit).collect()
}

#[tokio::test]
async fn many_criticals_that_telegram_holds_up_are_one_sms_for_one_person() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (kannel, mut settings) = gateway(&emulator, &folder, "      - {after: 1h, people: [ada], by: [sms]}").await;
    emulator.fault(InjectedFault::new(FaultKind::TooManyRequests { retry_after: Some(600) }).in_chat(OPERATIONS));
    let program = Program::start(&mut settings, &[]).await;
    for number in 0..8 {
        let payload = single(&format!("Critical{number}"), "critical", "firing", Timestamp::now());
        assert_eq!(program.post(&payload).await, Some(200));
    }
    until("her telephone has it", async || !got(&kannel, ADA).is_empty()).await;
    until("all are overdue", async || program.metric("alertbot_overdue_total").await >= 8.0).await;
    until("nothing waits for her", async || {
        program.metric("alertbot_queued_messages{channel=\"sms\",urgency=\"critical\"}").await == 0.0
    })
    .await;
    assert_eq!(got(&kannel, ADA).len(), 1, "{:?}", got(&kannel, ADA));
}

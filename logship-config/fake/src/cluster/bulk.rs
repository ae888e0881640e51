//! `_bulk`: documents into data streams and indices, with Elasticsearch's answer for each.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Cluster, DataStream, Document, Index, mapping};
use crate::{
    answer::{FakeAnswer, Refused},
    call::ReceivedCall,
};

/// Elasticsearch refuses the whole request for one longer `_id`.
const ID_LIMIT_BYTES: usize = 512;

/// One line that names an action, and the document after it.
struct Operation {
    action: String,
    index: String,
    id: Option<String>,
    source: Vec<u8>,
}

/// `index` is the path's, for lines that name none.
pub fn bulk(cluster: &mut Cluster, index: Option<&str>, call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
    if let Some(name) =
        call.query.keys().find(|name| !matches!(name.as_str(), "filter_path" | "require_data_stream" | "refresh" | "timeout"))
    {
        return Err(FakeAnswer::not_modelled(&format!("the parameter {name} of _bulk")));
    }
    let require_data_stream = call.flag("require_data_stream")?.unwrap_or(false);
    let operations = read(&call.body, index)?;
    let mut errors = false;
    let mut items = Vec::with_capacity(operations.len());
    for operation in operations {
        let action = operation.action.clone();
        let item = cluster.perform(operation, require_data_stream, now).unwrap_or_else(|refusal| refusal);
        errors |= item.get("error").is_some();
        items.push(json!({action: item}));
    }
    Ok(FakeAnswer::ok(json!({"errors": errors, "took": 1, "items": items})))
}

fn read(body: &[u8], path_index: Option<&str>) -> Refused<Vec<Operation>> {
    let Some(last) = body.last() else { return Err(FakeAnswer::error(400, "parse_exception", "request body is required")) };
    if *last != b'\n' {
        return Err(FakeAnswer::illegal_argument("The bulk request must be terminated by a newline [\\n]"));
    }
    let mut operations = Vec::new();
    let mut lines = body[..body.len() - 1].split(|byte| *byte == b'\n').enumerate();
    while let Some((number, line)) = lines.next() {
        let number = number + 1;
        let malformed = |found: &str| FakeAnswer::illegal_argument(format!("Malformed action/metadata line [{number}], {found}"));
        let parsed: Map<String, Value> =
            serde_json::from_slice(line).map_err(|error| malformed(&format!("expected START_OBJECT: {error}")))?;
        let Some((action, Value::Object(metadata))) = parsed.into_iter().next() else {
            return Err(malformed("expected field [create], [delete], [index] or [update]"));
        };
        if !matches!(action.as_str(), "create" | "delete" | "index" | "update") {
            return Err(malformed(&format!("expected field [create], [delete], [index] or [update] but found [{action}]")));
        }
        if action == "update" {
            return Err(FakeAnswer::not_modelled("the action update of _bulk"));
        }
        if let Some(name) = metadata.keys().find(|name| !matches!(name.as_str(), "_index" | "_id")) {
            let reason = format!("Action/metadata line [{number}] contains an unknown parameter [{name}]");
            return Err(FakeAnswer::illegal_argument(reason));
        }
        let text = |name: &str| metadata.get(name).and_then(Value::as_str).map(str::to_owned);
        let (index, id) = (text("_index").or_else(|| path_index.map(str::to_owned)), text("_id"));
        let Some(index) = index else {
            return Err(FakeAnswer::error(400, "action_request_validation_exception", "Validation Failed: 1: index is missing;"));
        };
        if let Some(id) = id.as_ref().filter(|id| id.len() > ID_LIMIT_BYTES) {
            let length = id.len();
            let reason = format!(
                "Validation Failed: 1: id [{id}] is too long, must be no longer than {ID_LIMIT_BYTES} bytes but was: {length};"
            );
            return Err(FakeAnswer::error(400, "action_request_validation_exception", reason));
        }
        let source = match action.as_str() {
            "delete" => Vec::new(),
            _ => lines.next().map(|(_, line)| line.to_vec()).ok_or_else(|| malformed("expected a document after it"))?,
        };
        operations.push(Operation { action, index, id, source });
    }
    Ok(operations)
}

impl Cluster {
    /// The item of the answer: as `Err` when it says that nothing was done.
    fn perform(&mut self, operation: Operation, require_data_stream: bool, now: Timestamp) -> Result<Value, Value> {
        let Operation { action, index, id, source } = operation;
        let id = id.unwrap_or_else(|| self.uuid());
        if let Some(refusal) = self.faults.item(&index) {
            return Err(failed(&index, &id, &refusal));
        }
        self.prepare_target(&index, require_data_stream, now).map_err(|refusal| failed(&index, &id, &refusal))?;
        let stream = self.data_streams.get(&index).cloned();
        if stream.is_some() && action != "create" {
            let reason = "only write ops with an op_type of create are allowed in data streams";
            return Err(failed(&index, &id, &FakeAnswer::illegal_argument(reason)));
        }
        let target = stream.as_ref().and_then(|stream| stream.indices.last()).unwrap_or(&index).clone();
        let forgets = self.faults.forgets_ids();
        let held = self.indices.get_mut(&target).expect("the target was prepared");
        if let Some(refusal) = block(&target, held) {
            return Err(failed(&target, &id, &refusal));
        }
        match action.as_str() {
            "create" if held.documents.contains_key(&id) && !forgets => {
                let version = held.documents[&id].version;
                let reason = format!("[{id}]: version conflict, document already exists (current version [{version}])");
                return Err(failed(&target, &id, &FakeAnswer::error(409, "version_conflict_engine_exception", reason)));
            }
            "delete" => {
                let found = held.forget(&id);
                let (result, status) = if found { ("deleted", 200) } else { ("not_found", 404) };
                return Ok(done(&target, &id, result, 2, status));
            }
            _ => {}
        }
        let bytes = source.len() as u64;
        match mapping::parse(held, &id, &source, stream.is_some()) {
            Ok(source) => {
                let version = held.documents.get(&id).map_or(1, |document| document.version + 1);
                let sequence = held.documents.len() as u64;
                // A server that does not deduplicate ids stores each document.
                let key = if forgets && held.documents.contains_key(&id) { format!("{id} again {sequence}") } else { id.clone() };
                held.store(key, Document { source, bytes, version, sequence });
                let (result, status) = if version == 1 || forgets { ("created", 201) } else { ("updated", 200) };
                Ok(done(&target, &id, result, version, status))
            }
            Err(refusal) => match stream {
                Some(stream) if stream.failure_store => Ok(self.keep_failure(&index, &stream, &id, &source, &refusal, now)),
                Some(_) => {
                    let mut item = failed(&target, &id, &refusal);
                    item["failure_store"] = "not_enabled".into();
                    Err(item)
                }
                None => Err(failed(&target, &id, &refusal)),
            },
        }
    }

    /// Elasticsearch makes a data stream or an index that a write names and a template describes.
    fn prepare_target(&mut self, name: &str, require_data_stream: bool, now: Timestamp) -> Refused<()> {
        if self.data_streams.contains_key(name) {
            return Ok(());
        }
        let stream = self.template_for(name).is_some_and(|(_, template)| template.get("data_stream").is_some());
        if stream && !self.indices.contains_key(name) {
            return self.create_data_stream(name, now).map(drop);
        }
        if require_data_stream {
            let reason = format!(
                "no such index [{name}] and [require_data_stream] request flag is [true] and [{name}] is not a data stream"
            );
            return Err(FakeAnswer::error(404, "index_not_found_exception", reason));
        }
        if !self.indices.contains_key(name) {
            let index = Index { uuid: self.uuid(), created: now, mappings: json!({}), ..Index::default() };
            self.indices.insert(name.to_owned(), index);
        }
        Ok(())
    }

    fn keep_failure(
        &mut self,
        name: &str,
        stream: &DataStream,
        id: &str,
        source: &[u8],
        refusal: &FakeAnswer,
        now: Timestamp,
    ) -> Value {
        let index = match stream.failure_indices.last() {
            Some(index) => index.clone(),
            None => {
                let generation = stream.generation + 1;
                let index = format!(".fs-{name}-{}-{generation:06}", now.strftime("%Y.%m.%d"));
                let held = Index {
                    uuid: self.uuid(),
                    created: now,
                    data_stream: Some(name.to_owned()),
                    mappings: json!({}),
                    ..Index::default()
                };
                self.indices.insert(index.clone(), held);
                let stream = self.data_streams.get_mut(name).expect("the caller has looked");
                stream.generation = generation;
                stream.failure_indices.push(index.clone());
                index
            }
        };
        let own_id = self.uuid();
        let held = self.indices.get_mut(&index).expect("it was made above");
        let original = serde_json::from_slice(source).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(source)));
        let cause = refusal.cause();
        let document = json!({
            "@timestamp": now.to_string(),
            "document": {"id": id, "index": name, "source": original},
            "error": {"type": cause["type"], "message": cause["reason"]},
        });
        let sequence = held.documents.len() as u64;
        let bytes = document.to_string().len() as u64;
        held.store(own_id.clone(), Document { source: document, bytes, version: 1, sequence });
        let mut item = done(&index, &own_id, "created", 1, 201);
        item["failure_store"] = "used".into();
        item
    }
}

fn block(name: &str, index: &Index) -> Option<FakeAnswer> {
    let set = |block: &str| index.settings.get(&format!("index.blocks.{block}")).is_some_and(|value| value == "true");
    let blocked = |status, what: &str| {
        Some(FakeAnswer::error(status, "cluster_block_exception", format!("index [{name}] blocked by: [{what}];")))
    };
    if set("read_only_allow_delete") {
        return blocked(
            429,
            "TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block",
        );
    }
    if set("read_only") {
        return blocked(403, "FORBIDDEN/5/index read-only (api)");
    }
    set("write").then(|| blocked(403, "FORBIDDEN/8/index write (api)")).flatten()
}

fn done(index: &str, id: &str, result: &str, version: u64, status: u16) -> Value {
    json!({
        "_index": index, "_id": id, "_version": version, "result": result,
        "_shards": {"total": 1, "successful": 1, "failed": 0}, "_seq_no": 0, "_primary_term": 1, "status": status,
    })
}

fn failed(index: &str, id: &str, refusal: &FakeAnswer) -> Value {
    json!({"_index": index, "_id": id, "status": refusal.status, "error": refusal.cause()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{InjectedFault, InjectedKind};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const STREAM: &str = "logs-exchange.app-default";

    fn cluster(mappings: Value, failure_store: bool) -> Cluster {
        let mut cluster = Cluster::default();
        let template = json!({
            "index_patterns": ["logs-exchange.*"], "data_stream": {},
            "template": {"mappings": mappings, "data_stream_options": {"failure_store": {"enabled": failure_store}}},
        });
        cluster.index_templates.insert("exchange".into(), template);
        cluster
    }

    fn lines(documents: &[(&str, &str)]) -> String {
        let line =
            |(id, document): &(&str, &str)| format!("{{\"create\":{{\"_index\":\"{STREAM}\",\"_id\":\"{id}\"}}}}\n{document}\n");
        documents.iter().map(line).collect()
    }

    fn send(cluster: &mut Cluster, body: &str) -> FakeAnswer {
        cluster.answer(&ReceivedCall::new("POST", "/_bulk?require_data_stream=true", body.as_bytes().to_vec()), NOW)
    }

    fn statuses(answer: &FakeAnswer) -> Vec<u64> {
        answer.body["items"].as_array().unwrap().iter().map(|item| item["create"]["status"].as_u64().unwrap()).collect()
    }

    const DOCUMENT: &str = "{\"@timestamp\":\"2026-01-01T00:00:00Z\",\"message\":\"a\"}";

    #[test]
    fn the_same_id_twice_is_a_conflict_within_a_write_index_only() {
        let mut cluster = cluster(json!({}), false);
        let body = lines(&[("1", DOCUMENT), ("2", DOCUMENT), ("1", DOCUMENT)]);
        let answer = send(&mut cluster, &body);
        assert_eq!((statuses(&answer), &answer.body["errors"]), (vec![201, 201, 409], &true.into()));
        let error = &answer.body["items"][2]["create"]["error"];
        assert_eq!(error["type"], "version_conflict_engine_exception");
        cluster.roll(STREAM, NOW);
        assert_eq!(statuses(&send(&mut cluster, &lines(&[("1", DOCUMENT)]))), [201]);
        let held = cluster.indices.values().map(|index| index.documents.len()).collect::<Vec<_>>();
        assert_eq!(held, [2, 1]);
        let bytes = |cluster: &Cluster| cluster.indices.values().map(Index::size).collect::<Vec<_>>();
        let one = DOCUMENT.len() as u64;
        assert_eq!(bytes(&cluster), [2 * one, one]);
        // After replacements and deletions in a plain index, the bytes of the remaining documents.
        let plain =
            "{\"index\":{\"_id\":\"1\"}}\n{\"a\":1}\n{\"index\":{\"_id\":\"1\"}}\n{\"a\":12}\n{\"index\":{\"_id\":\"2\"}}\n{}\n";
        cluster.answer(&ReceivedCall::new("POST", "/plain/_bulk", plain.into()), NOW);
        assert_eq!(cluster.indices["plain"].size(), 10);
        cluster.answer(&ReceivedCall::new("POST", "/plain/_bulk", "{\"delete\":{\"_id\":\"2\"}}\n".into()), NOW);
        assert_eq!(cluster.indices["plain"].size(), 8);
    }

    #[test]
    fn a_refused_document_fails_or_enters_the_failure_store() {
        let wrong = "{\"@timestamp\":\"2026-01-01T00:00:00Z\",\"price\":\"much\"}";
        let mapping = json!({"properties": {"price": {"type": "long"}}});
        for (failure_store, status, said) in [(false, 400, "not_enabled"), (true, 201, "used")] {
            let mut cluster = cluster(mapping.clone(), failure_store);
            let answer = send(&mut cluster, &lines(&[("1", wrong), ("2", DOCUMENT)]));
            assert_eq!(statuses(&answer), [status, 201]);
            assert_eq!(answer.body["items"][0]["create"]["failure_store"], said);
            assert_eq!(answer.body["errors"], !failure_store);
        }
    }

    #[test]
    fn what_no_template_makes_a_data_stream_is_not_found() {
        let answer = send(&mut Cluster::default(), &lines(&[("1", DOCUMENT)]));
        assert_eq!(statuses(&answer), [404]);
    }

    #[test]
    fn blocks_stop_writes() {
        for (block, status) in [("write", 403), ("read_only_allow_delete", 429)] {
            let mut cluster = cluster(json!({}), false);
            send(&mut cluster, &lines(&[("1", DOCUMENT)]));
            let index = cluster.indices.values_mut().next().unwrap();
            index.settings.insert(format!("index.blocks.{block}"), "true".into());
            let answer = send(&mut cluster, &lines(&[("2", DOCUMENT)]));
            assert_eq!(statuses(&answer), [status]);
            assert_eq!(answer.body["items"][0]["create"]["error"]["type"], "cluster_block_exception");
        }
    }

    #[test]
    fn malformed_requests_are_refused_whole_and_nothing_is_written() {
        let mut cluster = cluster(json!({}), false);
        let good = lines(&[("1", DOCUMENT)]);
        for (body, reason) in [
            (String::new(), "request body is required"),
            (good.trim_end().to_owned(), "must be terminated by a newline"),
            (good.clone() + "{\"merge\":{}}\n{}\n", "Malformed action/metadata line [3]"),
            (
                good.clone() + "{\"create\":{\"_index\":\"x\",\"_type\":\"_doc\"}}\n{}\n",
                "line [3] contains an unknown parameter [_type]",
            ),
            (good.clone() + &lines(&[(&"x".repeat(513), DOCUMENT)]), "is too long"),
        ] {
            let answer = send(&mut cluster, &body);
            let said = answer.body["error"]["reason"].as_str().unwrap_or_default();
            assert!(answer.status == 400 && said.contains(reason), "{body}: {said}");
        }
        assert!(cluster.indices.is_empty());
        let written = "{\"index\":{\"_index\":\"logs-exchange.app-default\",\"_id\":\"1\"}}\n{}\n";
        let answer = cluster.answer(&ReceivedCall::new("POST", "/_bulk", written.as_bytes().to_vec()), NOW);
        assert_eq!(answer.body["items"][0]["index"]["error"]["type"], "illegal_argument_exception");
    }

    #[test]
    fn faults_befall_items_or_whole_requests() {
        let mut cluster = cluster(json!({}), false);
        cluster.faults.add(InjectedFault::new(InjectedKind::busy_items(1.0)).times(1));
        assert_eq!(statuses(&send(&mut cluster, &lines(&[("1", DOCUMENT), ("2", DOCUMENT)]))), [429, 429]);
        assert_eq!(statuses(&send(&mut cluster, &lines(&[("1", DOCUMENT), ("2", DOCUMENT)]))), [201, 201]);
        cluster.faults.add(InjectedFault::new(InjectedKind::ForgetsIds));
        assert_eq!(statuses(&send(&mut cluster, &lines(&[("1", DOCUMENT)]))), [201]);
        assert_eq!(cluster.indices.values().next().unwrap().documents.len(), 3);
    }

    #[test]
    fn a_filter_path_leaves_what_it_names() {
        let mut cluster = cluster(json!({}), false);
        let body = lines(&[("1", DOCUMENT), ("1", DOCUMENT)]).into_bytes();
        let answer =
            cluster.answer(&ReceivedCall::new("POST", "/_bulk?filter_path=errors,items.*.status,items.*.error.type", body), NOW);
        let conflict = json!({"create": {"status": 409, "error": {"type": "version_conflict_engine_exception"}}});
        assert_eq!(answer.body, json!({"errors": true, "items": [{"create": {"status": 201}}, conflict]}));
    }
}

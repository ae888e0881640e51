//! This module simulates a Kubernetes node: log files in CRI format with the kubelet's links, pods described in files, the
//! configuration with a test's paths and ports, and Fluent Bit itself.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::PathBuf,
    time::Duration,
};

use local_parts::{ChildProcess, Folder, Launch, StopSignal, find_program, free_ports};
use serde_json::json;
use serde_yaml_ng::Value;

use super::{FOLDER, read};
use crate::{
    place::variable,
    relay::world::{READY_DEADLINE, World},
};

const NAMESPACE: &str = "trading";

pub struct Node {
    folder: Folder,
    program: PathBuf,
    pub metrics: String,
    process: Option<ChildProcess>,
    /// Time of the next line, and the step between lines, in nanoseconds.
    time: u64,
    pub step: u64,
    rotations: usize,
}

impl Node {
    /// Returns `None` if Fluent Bit is not installed. `change` edits the configuration after its paths and ports were
    /// replaced.
    pub fn prepare_with(world: &World, change: impl FnOnce(&mut Value)) -> Option<Self> {
        let program = match variable("FLUENT_BIT") {
            Some(path) => PathBuf::from(path),
            None => find_program("fluent-bit").ok()?,
        };
        let folder = Folder::throwaway("node").unwrap();
        for part in ["containers", "state", "pods", "logs"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
        }
        let [http]: [u16; 1] = free_ports().unwrap();
        let place = folder.path().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(PathBuf::from(FOLDER).join("fluent-bit.yaml")).unwrap();
        let tag = place.trim_start_matches('/').replace('/', ".");
        let relay: u16 = world.url.strip_suffix("/_bulk").unwrap().rsplit(':').next().unwrap().parse().unwrap();
        let replaced = text
            .replace("/var/log/containers", &format!("{place}/containers"))
            .replace("/var/lib/fluent-bit", &format!("{place}/state"))
            .replace("kube.var.log.containers.", &format!("kube.{tag}.containers."));
        let mut configuration: Value = serde_yaml_ng::from_str(&replaced).unwrap();
        configuration["service"]["http_listen"] = "127.0.0.1".into();
        configuration["service"]["http_port"] = http.into();
        // Tests use shorter waits than a node.
        configuration["service"]["scheduler.base"] = 1.into();
        configuration["service"]["scheduler.cap"] = 1.into();
        configuration["service"]["grace"] = 5.into();
        for output in configuration["pipeline"]["outputs"].as_sequence_mut().unwrap() {
            output["port"] = relay.into();
        }
        configuration["env"]["platform_namespaces"] = NAMESPACE.into();
        configuration["pipeline"]["filters"][0]["kube_meta_preload_cache_dir"] = format!("{place}/pods").into();
        change(&mut configuration);
        std::fs::write(folder.path().join("fluent-bit.yaml"), serde_yaml_ng::to_string(&configuration).unwrap()).unwrap();
        std::fs::write(folder.path().join("parsers.yaml"), serde_yaml_ng::to_string(&read("parsers.yaml")).unwrap()).unwrap();
        Some(Self {
            folder,
            program,
            metrics: format!("http://127.0.0.1:{http}/api/v2/metrics/prometheus"),
            process: None,
            time: 1_000,
            step: 1,
            rotations: 0,
        })
    }

    pub async fn start(&mut self) {
        let arguments = ["-c".into(), self.folder.path().join("fluent-bit.yaml").into_os_string()];
        let launch = Launch::new("fluent-bit", self.program.clone(), arguments, Vec::new(), StopSignal::Kill);
        let mut process = ChildProcess::start(&launch, self.folder.path()).unwrap();
        let metrics = self.metrics.clone();
        process.ready(READY_DEADLINE, async || reqwest::get(&metrics).await.is_ok()).await.unwrap();
        self.process = Some(process);
    }

    pub async fn kill(&mut self) {
        self.stop(StopSignal::Kill).await;
    }

    pub async fn stop(&mut self, signal: StopSignal) {
        self.process.take().unwrap().stop(signal).await.unwrap();
    }

    /// A pod of the platform's namespace, as the API server would describe it.
    pub fn pod(&self, name: &str, labels: &serde_json::Value) {
        self.pod_in(NAMESPACE, name, labels);
    }

    /// See [`Self::pod`], in another namespace.
    pub fn pod_in(&self, namespace: &str, name: &str, labels: &serde_json::Value) {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "uid": "u", "labels": labels},
            "spec": {"nodeName": "node-1", "containers": []},
            "status": {"podIP": "10.0.0.1", "containerStatuses": []},
        });
        std::fs::write(self.folder.path().join(format!("pods/{namespace}_{name}.meta")), pod.to_string()).unwrap();
    }

    /// A pod of the exchange.
    pub fn exchange(&self, name: &str) {
        self.pod(name, &json!({"app.kubernetes.io/name": "exchange"}));
    }

    /// Writes lines of a container: the stream (`stdout` or `stderr`) and the text.
    pub fn write(&mut self, pod: &str, lines: &[(&str, &str)]) {
        self.write_in(NAMESPACE, pod, lines);
    }

    /// See [`Self::write`], for a pod of another namespace.
    pub fn write_in(&mut self, namespace: &str, pod: &str, lines: &[(&str, &str)]) {
        let name = format!("{pod}_{namespace}_main-{}.log", "c0ffee12".repeat(8));
        let target = self.log_file(namespace, pod);
        let link = self.folder.path().join("containers").join(name);
        if !link.exists() {
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            File::create(&target).unwrap();
            std::os::unix::fs::symlink(&target, link).unwrap();
        }
        let mut file: File = OpenOptions::new().append(true).open(target).unwrap();
        for (stream, text) in lines {
            self.time += self.step;
            writeln!(file, "2026-11-27T09:00:00.{:09}Z {stream} F {text}", self.time).unwrap();
        }
    }

    /// Writes a line that the container runtime did not write: without its time and stream.
    pub fn write_bare(&mut self, pod: &str, text: &str) {
        self.write(pod, &[]);
        let mut file = OpenOptions::new().append(true).open(self.log_file(NAMESPACE, pod)).unwrap();
        writeln!(file, "{text}").unwrap();
    }

    /// The file of a container, as under `/var/log/pods`. The name under `/var/log/containers` is a link to it.
    fn log_file(&self, namespace: &str, pod: &str) -> PathBuf {
        self.folder.path().join(format!("logs/{namespace}_{pod}_u/main/0.log"))
    }

    /// Rotates the file of a pod, as the kubelet does: renames it and creates an empty one.
    pub fn rotate(&mut self, pod: &str) {
        self.rotations += 1;
        let file = self.log_file(NAMESPACE, pod);
        std::fs::rename(&file, file.with_extension(format!("log.20261127-{:06}", self.rotations))).unwrap();
        File::create(file).unwrap();
    }

    /// Deletes the stored positions of the files.
    pub fn lose_positions(&self) {
        for end in ["", "-shm", "-wal"] {
            // The last two usually exist only while it runs.
            let _ = std::fs::remove_file(self.folder.path().join(format!("state/positions.db{end}")));
        }
        assert!(!self.folder.path().join("state/positions.db").exists());
    }

    /// Returns the text of all chunks on the disk. A chunk contains the texts of its records unchanged.
    pub fn chunks(&self) -> String {
        fn read(folder: &std::path::Path, text: &mut String) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => read(&path, text),
                    // A chunk that was delivered in the meantime is gone.
                    path => text.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default())),
                }
            }
        }
        let mut text = String::new();
        read(&self.folder.path().join("state/storage"), &mut text);
        text
    }

    /// Returns the sum of a metric over its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let Ok(reply) = reqwest::get(&self.metrics).await else { return 0.0 };
        let text = reply.text().await.unwrap_or_default();
        let lines = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    pub async fn until_metric(&self, name: &str, least: f64) {
        let end = tokio::time::Instant::now() + READY_DEADLINE;
        while self.metric(name).await < least {
            assert!(tokio::time::Instant::now() < end, "{name} stays below {least}. {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("fluent-bit.log")).unwrap_or_default()
    }
}

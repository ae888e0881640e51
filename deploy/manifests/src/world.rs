//! This module holds every rendered object of one environment, by Application. It must not judge.

use serde_json::Value;

use crate::object::{Object, Pod};

/// One Argo CD Application with its rendered objects.
#[derive(Debug, Clone)]
pub struct Application {
    /// The Application itself.
    pub declared: Object,
    /// The last part of its path, such as `exchange`.
    pub name: String,
    /// Applications with a smaller wave are synced earlier.
    pub wave: i64,
    pub objects: Vec<Object>,
}

/// One environment.
#[derive(Debug, Clone)]
pub struct RenderedEnvironment {
    pub environment: String,
    pub applications: Vec<Application>,
}

impl RenderedEnvironment {
    /// This environment together with the objects of another one.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let applications = self.applications.iter().chain(&other.applications).cloned().collect();
        Self { environment: self.environment.clone(), applications }
    }

    /// Every object with its Application.
    pub fn objects(&self) -> impl Iterator<Item = (&Application, &Object)> {
        self.applications.iter().flat_map(|application| application.objects.iter().map(move |object| (application, object)))
    }

    /// Every pod template with its Application.
    pub fn pods(&self) -> impl Iterator<Item = (&Application, Pod<'_>)> {
        self.objects().filter_map(|(application, object)| object.pod().map(|pod| (application, pod)))
    }

    /// The object of a kind and a name.
    pub fn find(&self, kind: &str, name: &str) -> Option<&Object> {
        self.objects().map(|(_, object)| object).find(|object| object.kind() == kind && object.name() == name)
    }

    /// The object of a kind and a name, to change it in a test.
    pub fn find_mut(&mut self, kind: &str, name: &str) -> Option<&mut Value> {
        self.applications
            .iter_mut()
            .flat_map(|application| application.objects.iter_mut())
            .find(|object| object.kind() == kind && object.name() == name)
            .map(|object| &mut object.0)
    }

    /// The wave of the Application that makes a Secret or ConfigMap of a namespace. An ExternalSecret makes its target.
    pub fn made_in(&self, kind: &str, namespace: &str, name: &str) -> Option<i64> {
        self.objects()
            .filter(|(_, object)| object.namespace() == namespace)
            .filter(|(_, object)| {
                (object.kind() == kind && object.name() == name)
                    || (kind == "Secret"
                        && object.kind() == "ExternalSecret"
                        && crate::object::text(&object.0, "/spec/target/name") == name)
            })
            .map(|(application, _)| application.wave)
            .min()
    }
}

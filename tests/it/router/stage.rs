//! Deployments that say what the scene tells them to, without a network.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use parking_lot::Mutex;
use reprise::base::fault::{Fault, Kind};
use reprise::config::{Config, Source};
use reprise::telemetry::metrics::{Metrics, Snapshot};
use reprise::upstream::router::{Behind, Exchange, Exchanging, Router};
use reprise::upstream::{Incoming, Outgoing, OutgoingBody, Way};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// One answer, or none.
#[derive(Clone)]
pub enum Say {
    Body(u16, Vec<(&'static str, String)>, String),
    Stream(Vec<Piece>),
    Fault(Kind),
    Hang,
    After(Duration, Box<Say>),
}

#[derive(Clone)]
pub enum Piece {
    Chunk(&'static str),
    Pause(Duration),
    Cut,
}

pub fn good() -> Say {
    let body = json!({ "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": 3 } });
    Say::Body(200, vec![("content-type", "application/json".into())], body.to_string())
}

pub fn status(status: u16) -> Say {
    status_with(status, &[])
}

pub fn status_with(status: u16, headers: &[(&'static str, &str)]) -> Say {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Say::Body(status, headers, format!("{{\"error\":{{\"message\":\"{status} by the scene\"}}}}"))
}

pub fn after(span: Duration, say: Say) -> Say {
    Say::After(span, Box::new(say))
}

#[derive(Default)]
pub struct Fake {
    next: Mutex<VecDeque<Say>>,
    always: Mutex<Option<Say>>,
    asked: Mutex<Vec<(HeaderMap, Bytes)>>,
    /// Exchanges that ended before their answer's head.
    dropped: AtomicUsize,
}

impl Fake {
    /// The next request is answered so.
    pub fn will(&self, say: Say) {
        self.next.lock().push_back(say);
    }

    /// Every further one is, where nothing else is said; by default a good answer.
    pub fn always(&self, say: Say) {
        *self.always.lock() = Some(say);
    }

    pub fn calls(&self) -> usize {
        self.asked.lock().len()
    }

    pub fn dropped(&self) -> usize {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The body of a request, from 0.
    pub fn body(&self, at: usize) -> String {
        String::from_utf8(self.asked.lock()[at].1.to_vec()).unwrap()
    }

    pub fn model(&self, at: usize) -> String {
        let body: Value = serde_json::from_str(&self.body(at)).unwrap();
        body["model"].as_str().unwrap().to_owned()
    }
}

struct Falling<'f>(&'f Fake, bool);

impl Drop for Falling<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Named(Arc<str>, Arc<Fake>);

impl Exchange for Named {
    fn exchange(&self, outgoing: Outgoing) -> Exchanging<'_> {
        let Named(name, fake) = self;
        let OutgoingBody::Whole(body) = outgoing.body else { panic!("the scene sends whole bodies") };
        fake.asked.lock().push((outgoing.headers, body));
        let said = fake.next.lock().pop_front().or_else(|| fake.always.lock().clone());
        Box::pin(async move {
            let mut falling = Falling(fake, false);
            let mut say = said.unwrap_or_else(good);
            while let Say::After(span, then) = say {
                sleep(span).await;
                say = *then;
            }
            if let Say::Hang = say {
                std::future::pending::<()>().await;
            }
            falling.1 = true;
            answer(name.clone(), say)
        })
    }
}

fn answer(name: Arc<str>, say: Say) -> Result<Incoming, Fault> {
    let way = Way::straight(name);
    match say {
        Say::Body(status, headers, body) => {
            let headers = headers
                .into_iter()
                .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
            let body = Box::pin(stream::iter([Ok(Bytes::from(body))]));
            Ok(Incoming {
                status: StatusCode::from_u16(status).unwrap(),
                headers: headers.collect(),
                way,
                body,
            })
        }
        Say::Stream(pieces) => {
            let body = stream::iter(pieces).filter_map(async |piece| match piece {
                Piece::Chunk(text) => Some(Ok(Bytes::from_static(text.as_bytes()))),
                Piece::Cut => Some(Err(Fault::new(Kind::UpstreamBroke, "cut by the scene"))),
                Piece::Pause(span) => {
                    sleep(span).await;
                    None
                }
            });
            let headers = [(http::header::CONTENT_TYPE, "text/event-stream".parse().unwrap())];
            Ok(Incoming {
                status: StatusCode::OK,
                headers: headers.into_iter().collect(),
                way,
                body: Box::pin(body),
            })
        }
        Say::Fault(kind) => Err(Fault::new(kind, "a fault by the scene")),
        Say::Hang | Say::After(..) => unreachable!("waited for above"),
    }
}

/// A router over deployments of the scene.
pub struct Stage {
    pub router: Router,
    fakes: HashMap<String, Arc<Fake>>,
    pub metrics: Arc<Metrics>,
}

/// What a client gets, read whole.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub way: Way,
    pub body: String,
    /// What the body broke off with.
    pub fault: Option<Fault>,
}

impl Stage {
    /// `[[upstream]]` is written for each name that `upstream = "…"` mentions, and for `a` in any case.
    pub fn set(text: &str) -> Stage {
        let mut names: Vec<&str> =
            text.split("upstream = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        names.push("a");
        names.sort_unstable();
        names.dedup();
        let upstreams: String = names
            .iter()
            .map(|name| {
                let region = name.split_once('-').map(|(_, region)| format!("region = \"{region}\"\n"));
                format!(
                    "[[upstream]]\nname = \"{name}\"\nurl = \"http://{name}\"\n{}",
                    region.unwrap_or_default()
                )
            })
            .collect();
        let config = Config::read_text(&Source::default(), &format!("{upstreams}{text}")).unwrap();
        Stage::of(&config)
    }

    pub fn of(config: &Config) -> Stage {
        let fakes: HashMap<String, Arc<Fake>> =
            config.upstreams.iter().map(|one| (one.name.clone(), Arc::default())).collect();
        let behind: HashMap<String, Behind> = config
            .upstreams
            .iter()
            .map(|one| {
                let exchange = Arc::new(Named(one.name.as_str().into(), fakes[&one.name].clone()));
                let (first_byte, whole) = (one.first_byte_timeout, one.total_timeout);
                (one.name.clone(), Behind { exchange, own_key: one.key.is_some(), first_byte, whole })
            })
            .collect();
        let metrics = Arc::new(Metrics::new());
        let first = behind[&config.upstreams[0].name].exchange.clone();
        let router =
            Router::new(config.routed_models(), config.router.clone(), &behind, first, metrics.clone());
        Stage { router, fakes, metrics }
    }

    pub fn fake(&self, name: &str) -> &Fake {
        &self.fakes[name]
    }

    pub fn calls(&self, names: &[&str]) -> Vec<usize> {
        names.iter().map(|name| self.fake(name).calls()).collect()
    }

    pub async fn ask(&self, model: &str) -> Result<Got, Fault> {
        self.send(&json!({ "model": model, "messages": [] }).to_string(), &[]).await
    }

    pub async fn send(&self, body: &str, headers: &[(&'static str, &str)]) -> Result<Got, Fault> {
        read(self.router.send(outgoing(body, headers)).await?).await
    }

    pub fn shown(&self) -> String {
        self.router.show_states();
        self.metrics.encode(Snapshot::default())
    }
}

pub fn outgoing(body: &str, headers: &[(&'static str, &str)]) -> Outgoing {
    Outgoing {
        method: Method::POST,
        target: "/v1/chat/completions".parse().unwrap(),
        headers: headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect(),
        body: OutgoingBody::Whole(Bytes::copy_from_slice(body.as_bytes())),
    }
}

async fn read(incoming: Incoming) -> Result<Got, Fault> {
    let Incoming { status, way, mut body, .. } = incoming;
    let (mut all, mut fault) = (Vec::new(), None);
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => all.extend_from_slice(&chunk),
            Err(broke) => fault = Some(broke),
        }
    }
    Ok(Got { status: status.as_u16(), way, body: String::from_utf8(all).unwrap(), fault })
}

/// A model `m` over these upstreams, with more lines for the model.
pub fn model_over(names: &[&str], more: &str) -> String {
    let deployments: String =
        names.iter().map(|name| format!("[[model.deployment]]\nupstream = \"{name}\"\n")).collect();
    format!("[[model]]\nname = \"m\"\n{more}\n{deployments}")
}

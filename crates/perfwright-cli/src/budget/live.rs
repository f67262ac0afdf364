//! Scrapes a service's page of metrics, once or for a while.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use perfwright_budget::Sources;
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

use crate::profile::interrupts::Interrupts;
use crate::terminal::Terminal;

/// Bytes of one page.
const MAX_PAGE: usize = 64 << 20;
/// How long one page may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A page of metrics of a running service.
pub(super) struct Service {
    url: String,
    host: String,
    port: u16,
    /// Path and query.
    page: String,
    token: Option<String>,
}

/// For how long pages are scraped, and how often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    pub(super) duration: Duration,
    pub(super) every: Duration,
}

/// Whether it names a service rather than a file.
pub(super) fn is_url(text: &str) -> bool {
    text.contains("://")
}

impl Service {
    /// The page at an `http://` URL; `token` is sent as a bearer token.
    pub(super) fn new(url: &str, token: Option<String>) -> Result<Service> {
        let name = || format!("scrape {url}");
        let uri: Uri = url.parse().with_context(name)?;
        if uri.scheme_str() != Some("http") {
            bail!(
                "{}: only http:// is scraped; save the page by another program, and give the file",
                name()
            );
        }
        let authority = uri.authority().with_context(name)?;
        if authority.as_str().contains('@') {
            bail!("{}: a user is not sent; give a token by --token", name());
        }
        let page = uri.path_and_query().map_or("/", |page| page.as_str());
        Ok(Service {
            url: url.to_owned(),
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(80),
            page: page.to_owned(),
            token,
        })
    }

    /// Scrapes the page as long and as often as asked, and puts the pages in place of those before. An interrupt
    /// ends it early; a page that cannot be had is left out, except for the first.
    pub(super) async fn watch(
        &self,
        watch: Option<Watch>,
        sources: &mut Sources,
        interrupts: &Interrupts,
        terminal: &mut Terminal,
    ) -> Result<()> {
        let name = || format!("scrape {}", self.url);
        let first = self.scrape().await.with_context(name)?;
        sources.prometheus(&first).with_context(name)?;
        let Some(watch) = watch else {
            return Ok(());
        };
        let started = Instant::now();
        // A rate is of the time since the page before: the first one that counts comes after the first step.
        let end = watch.duration + watch.every;
        let total = end.as_secs();
        let step = terminal.step_of(
            "Watching",
            format_args!("{} for {total} s", self.url),
            total,
        );
        let mut failures = Vec::new();
        for round in 1_u32.. {
            // The last page comes at the end, however often others do.
            let at = (watch.every * round).min(end);
            tokio::select! {
                () = sleep_until((started + at).into()) => {}
                () = interrupts.reached(1) => break,
            }
            let page = self.scrape().await;
            let seconds = started.elapsed().as_secs_f64();
            let added = page.and_then(|page| {
                sources.prometheus_at(seconds, &page)?;
                Ok(())
            });
            failures.extend(added.err());
            step.position(started.elapsed().as_secs());
            if at >= end {
                break;
            }
        }
        drop(step);
        if let Some(last) = failures.last() {
            terminal.warn(format_args!(
                "{}: {} of the pages could not be had; the last one: {last:#}",
                name(),
                failures.len()
            ));
        }
        Ok(())
    }

    async fn scrape(&self) -> Result<String> {
        let page = timeout(PATIENCE, self.get()).await;
        page.with_context(|| format!("there was no answer in {} s", PATIENCE.as_secs()))?
    }

    async fn get(&self) -> Result<String> {
        // A literal address of version 6 stands in brackets.
        let host = self.host.trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.port)).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends when the sender is dropped; its error reaches the request.
        tokio::spawn(connection);
        let mut request = Request::get(&self.page)
            .header(HOST, format!("{}:{}", self.host, self.port))
            .header(ACCEPT, "text/plain;version=0.0.4");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = sender
            .send_request(request.body(Empty::<Bytes>::new())?)
            .await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                bail!("it answered {}: give its token by --token", answer.status());
            }
            status => bail!("it answered {status}"),
        }
        let body = Limited::new(answer.into_body(), MAX_PAGE).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => anyhow::anyhow!("the page is larger than {MAX_PAGE} bytes"),
            false => anyhow::anyhow!(error),
        })?;
        String::from_utf8(body.to_bytes().into()).context("the page is no text")
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};

    use perfwright_budget::{Budgets, Date, Report, judge};

    use super::*;

    /// A service that gives these answers, one for each connection, and the last one ever after.
    fn service(answers: Vec<String>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for at in 0.. {
                let Ok((mut stream, _)) = listener.accept() else {
                    return;
                };
                let mut request = [0; 4096];
                let count = stream.read(&mut request).unwrap_or(0);
                let asked = String::from_utf8_lossy(&request[..count]).into_owned();
                let answer = &answers[at.min(answers.len() - 1)];
                // Whoever asked may be gone.
                let _ = stream.write_all(
                    answer
                        .replace("TOKEN", &asked.contains("Bearer t0").to_string())
                        .as_bytes(),
                );
            }
        });
        address
    }

    fn page(text: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{text}\n")
    }

    fn watched(answers: Vec<String>, watch: Option<Watch>) -> Result<(Sources, String)> {
        let url = format!("http://{}/metrics?all", service(answers));
        let service = Service::new(&url, Some("t0".to_owned()))?;
        let (mut terminal, captured) = Terminal::captured(100);
        let mut sources = Sources::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let interrupts = Interrupts::listen()?;
            service
                .watch(watch, &mut sources, &interrupts, &mut terminal)
                .await
        })?;
        Ok((sources, captured.err()))
    }

    fn check(sources: &Sources, budget: &str) -> Report {
        let budgets =
            Budgets::parse("a.toml", &format!("version = 1\n[[budget]]\n{budget}")).unwrap();
        judge(
            &budgets,
            sources.measure(&budgets),
            None,
            Date::from_unix(0),
        )
    }

    #[test]
    fn a_page_is_scraped_once_with_its_token() {
        let (sources, _) = watched(vec![page("seen{token=\"TOKEN\"} 4")], None).unwrap();
        let budget = "metric = \"prometheus\"\nselect = { name = \"seen\", label = { token = \"true\" } }\nlimits = [\"<= 4\"]";
        assert_eq!(check(&sources, budget).exit_code(), 0);
    }

    #[test]
    fn a_series_has_rates_and_survives_a_failure() {
        let answers = vec![
            page("process_cpu_seconds_total 10"),
            "HTTP/1.1 503 Busy\r\nconnection: close\r\n\r\n".to_owned(),
            page("process_cpu_seconds_total 10"),
        ];
        let watch = Watch {
            duration: Duration::from_millis(200),
            every: Duration::from_millis(100),
        };
        let (sources, said) = watched(answers, Some(watch)).unwrap();
        assert!(
            said.contains("1 of the pages could not be had; the last one: it answered 503"),
            "{said}"
        );
        // No time was used at all, whatever time has gone by.
        let report = check(&sources, "metric = \"process.cpu\"\nlimits = [\"<= 0%\"]");
        assert_eq!(
            (report.exit_code(), report.rows[0].measured.as_deref()),
            (0, Some("0.0 %"))
        );
    }

    #[test]
    fn what_cannot_be_scraped_is_told() {
        for (url, expected) in [
            ("https://a/metrics", "only http:// is scraped"),
            ("http://user:secret@a/", "a user is not sent"),
            ("http://", "scrape http://"),
        ] {
            let error = format!("{:#}", Service::new(url, None).err().unwrap());
            assert!(error.contains(expected), "{error}");
        }
        for (answer, expected) in [
            (
                "HTTP/1.1 401 No\r\nconnection: close\r\n\r\n".to_owned(),
                "give its token by --token",
            ),
            (
                "HTTP/1.1 404 No\r\nconnection: close\r\n\r\n".to_owned(),
                "it answered 404",
            ),
            (
                page("no metric at all"),
                "line 1 of the metrics is no metric",
            ),
            ("SSH-2.0-OpenSSH\r\n".to_owned(), "scrape http://"),
        ] {
            let error = format!("{:#}", watched(vec![answer], None).err().unwrap());
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn nobody_listening_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let service = Service::new(&url, None).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        assert!(runtime.block_on(service.scrape()).is_err());
    }
}

//! A capture from the program's start to its end: ready, load, sampling, and whatever comes between.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use perfwright::control::{CaptureOrder, HeapOrder, Order};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::args::ProfileArgs;
use super::interrupts::Interrupts;
use super::load::{Client, Load, Mix, Tally};
use super::process::{Ending, Process};
use super::session::{Door, Session};
use super::target::Plan;
use crate::machine;
use crate::report::CpuMoment;
use crate::terminal::Terminal;

/// Between two questions whether the service is ready.
const READY_POLL: Duration = Duration::from_millis(50);
/// How long the load runs before the capture: connections open and caches fill meanwhile.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long the program may take to write the profile.
const WRITE_WAIT: Duration = Duration::from_secs(60);

/// What a capture needs to know.
pub(crate) struct Job<'a> {
    pub(crate) name: &'a str,
    pub(crate) exe: &'a Path,
    pub(crate) plan: &'a Plan,
    pub(crate) args: &'a ProfileArgs,
    /// Where the socket, the log and the raw profile go.
    pub(crate) folder: &'a Path,
    pub(crate) interrupts: &'a Interrupts,
}

/// What a capture gave.
pub(crate) struct Captured {
    /// The raw profile.
    pub(crate) raw: PathBuf,
    /// The folder of the heap's raw profiles; `None` if it was not sampled.
    pub(crate) raw_heap: Option<PathBuf>,
    /// The folder of what was written of spans; empty if the program has no span layer.
    pub(crate) raw_spans: PathBuf,
    /// The arguments that the program got.
    pub(crate) program_args: Vec<String>,
    pub(crate) started: SystemTime,
    pub(crate) duration: Duration,
    /// Processes of others that ran on each core just before the program was started.
    pub(crate) load_per_core: Option<f64>,
    /// The CPU time that the program had taken, over time.
    pub(crate) cpu_timeline: Vec<CpuMoment>,
    /// Why it was shorter than asked.
    pub(crate) ended_early: Option<String>,
    /// What the load met, by kind of request; `None` without a load.
    pub(crate) load: Option<Vec<(String, Tally)>>,
    /// The program's own failure: its profile is written all the same.
    pub(crate) failure: Option<String>,
}

/// How many ticks of the progress bar, a tenth of a second each, are between two moments of the CPU time.
const CPU_TICKS: u32 = 5;

impl CpuMoment {
    fn now(pid: u32, begin: Instant) -> Option<CpuMoment> {
        let cpu_nanos = machine::cpu_nanos(pid)?;
        let seconds = begin.elapsed().as_secs_f64();
        Some(CpuMoment { seconds, cpu_nanos })
    }
}

/// Why the program cannot be captured, and whether another port may help.
enum NotReady {
    PortTaken(anyhow::Error),
    Other(anyhow::Error),
}

impl From<anyhow::Error> for NotReady {
    fn from(error: anyhow::Error) -> NotReady {
        NotReady::Other(error)
    }
}

/// Runs the program and captures it. Nothing of it is left running, whatever the outcome.
pub(crate) async fn capture(job: &Job<'_>, terminal: &mut Terminal) -> Result<Captured> {
    let door = Door::open(job.folder)?;
    let running = match Running::start(job, &door, terminal).await {
        // Another process was faster; with a new port that will hardly happen again.
        Err(NotReady::PortTaken(_)) => Running::start(job, &door, terminal).await,
        other => other,
    };
    match running {
        Ok(running) => running.capture(job, terminal).await,
        Err(NotReady::PortTaken(error) | NotReady::Other(error)) => Err(error),
    }
}

/// A program that is ready to be captured.
struct Running {
    process: Process,
    session: Session,
    program_args: Vec<String>,
    /// The load and where it goes, when there is one.
    load: Option<(Mix, SocketAddr)>,
    raw: PathBuf,
    heap: Option<HeapOrder>,
    raw_spans: PathBuf,
    load_per_core: Option<f64>,
    cpu_timeline: Vec<CpuMoment>,
}

impl Running {
    async fn start(
        job: &Job<'_>,
        door: &Door,
        terminal: &mut Terminal,
    ) -> Result<Running, NotReady> {
        let (program_args, addr) = program_args(job)?;
        let load_per_core = spawn_blocking(machine::running_per_core)
            .await
            .ok()
            .flatten();
        let log = job.folder.join("program.log");
        let mut process = Process::start(job.exe, &program_args, door.path(), &log)?;
        let step = terminal.step("Starting", starting(job.name, &program_args));
        let begin = Instant::now();
        let limit = job.args.ready_timeout;
        let session = until(
            job,
            &mut process,
            limit,
            door.hello(),
            "said hello: it has to link perfwright and call `perfwright::start()` at the top of `main`",
        )
        .await?;
        let mix = job.plan.mix.clone().filter(|_| !job.args.no_load);
        let raw = job.folder.join("raw.pb.gz");
        let heap = heap_order(job, &session)?;
        let raw_spans = raw_folder(job, "raw-spans")?;
        let mut running = Running {
            process,
            session,
            program_args,
            load: mix.zip(addr),
            raw,
            heap,
            raw_spans,
            load_per_core,
            cpu_timeline: Vec::new(),
        };
        if let Some((_, addr)) = &running.load {
            let addr = *addr;
            running.session.go(running.heap.clone()).await?;
            let ready = ready(addr, job.plan.ready.as_deref());
            let rest = limit.saturating_sub(begin.elapsed());
            until(
                job,
                &mut running.process,
                rest,
                ready,
                &not_ready(addr, job.plan),
            )
            .await?;
        }
        drop(step);
        Ok(running)
    }

    async fn capture(mut self, job: &Job<'_>, terminal: &mut Terminal) -> Result<Captured> {
        let load = self
            .load
            .take()
            .map(|(mix, addr)| Load::start(mix, addr, job.args.connections));
        if load.is_some() {
            self.warm_up(job, terminal).await?;
        }
        let engine = self.begin(job).await?;
        if let Some(load) = &load {
            load.record();
        }
        let (started, begin) = (SystemTime::now(), Instant::now());
        let ended_early = self.watch(job, &engine, load.as_ref(), terminal).await?;
        let duration = begin.elapsed();
        if let Some(load) = &load {
            load.pause_recording();
        }
        let step = terminal.step("Stopping", job.name);
        let saved = self.save(job).await;
        let load = match load {
            Some(load) => Some(load.stop().await),
            None => None,
        };
        let failure = self.end(job, terminal).await?;
        drop(step);
        saved?;
        Ok(Captured {
            raw: self.raw,
            raw_heap: self.heap.map(|heap| heap.out),
            raw_spans: self.raw_spans,
            program_args: self.program_args,
            started,
            duration,
            load_per_core: self.load_per_core,
            cpu_timeline: self.cpu_timeline,
            ended_early,
            load,
            failure,
        })
    }

    async fn warm_up(&mut self, job: &Job<'_>, terminal: &mut Terminal) -> Result<()> {
        let _step = terminal.step("Warming up", format_args!("{} under load", job.name));
        tokio::select! {
            () = sleep(WARM_UP) => Ok(()),
            status = self.process.ended() => Err(self.died(job, status, "before the capture began")),
            () = job.interrupts.reached(1) => bail!("interrupted before the capture began"),
        }
    }

    /// Orders the capture and returns the engine that samples.
    async fn begin(&mut self, job: &Job<'_>) -> Result<String> {
        let order = Order::Start(CaptureOrder {
            engine: job.args.engine.wire_name().to_owned(),
            mode: job.args.mode.wire_name().to_owned(),
            frequency_hz: job.args.frequency_hz(),
            out: self.raw.clone(),
            heap: self.heap.clone(),
            spans: Some(self.raw_spans.clone()),
        });
        let engine = tokio::select! {
            engine = self.session.order(&order) => engine,
            () = job.interrupts.reached(2) => bail!("interrupted before the capture began"),
        };
        Ok(engine?.unwrap_or_default())
    }

    /// Waits for the capture's end: its time is over, the program ends, or the user interrupts.
    async fn watch(
        &mut self,
        job: &Job<'_>,
        engine: &str,
        load: Option<&Load>,
        terminal: &mut Terminal,
    ) -> Result<Option<String>> {
        let text = format!(
            "{} with {engine} at {} Hz",
            job.name,
            job.args.frequency_hz()
        );
        let millis = u64::try_from(job.args.seconds.as_millis()).unwrap_or(u64::MAX);
        let step = terminal.step_of("Capturing", &text, millis);
        let begin = Instant::now();
        let pid = self.process.id();
        let timeline = &mut self.cpu_timeline;
        timeline.extend(CpuMoment::now(pid, begin));
        let progress = async {
            for tick in 1.. {
                sleep(Duration::from_millis(100)).await;
                let elapsed = begin.elapsed();
                if tick % CPU_TICKS == 0 {
                    timeline.extend(CpuMoment::now(pid, begin));
                }
                step.position(
                    u64::try_from(elapsed.as_millis())
                        .unwrap_or(u64::MAX)
                        .min(millis),
                );
                step.update(progress_text(elapsed, job.args.seconds, load));
            }
        };
        tokio::select! {
            () = sleep(job.args.seconds) => Ok(None),
            () = progress => Ok(None),
            () = job.interrupts.reached(1) => Ok(Some("interrupted".to_owned())),
            status = self.process.ended() => {
                let status = status.context("wait for the program")?;
                Ok(load.is_some().then(|| format!("the program ended ({})", words(status))))
            }
        }
    }

    /// Has the profile written; a program that ended by itself has done that already.
    async fn save(&mut self, job: &Job<'_>) -> Result<()> {
        let stopped = tokio::select! {
            stopped = timeout(WRITE_WAIT, self.session.order(&Order::Stop)) => stopped,
            () = job.interrupts.reached(2) => bail!("interrupted"),
        };
        match stopped {
            Ok(Ok(_)) => return Ok(()),
            Err(_) => bail!("get the profile: {} did not write it in a minute", job.name),
            // The connection is closed when the program ended first.
            Ok(Err(error)) => {
                let ended = timeout(Duration::from_secs(5), self.process.ended()).await;
                if ended.is_err() {
                    return Err(error);
                }
            }
        }
        if self.raw.exists() {
            return Ok(());
        }
        let status = self.process.ended().await;
        Err(self.died(
            job,
            status,
            "without writing its profile (it aborted, or a signal killed it)",
        ))
    }

    /// Ends the program and says how it failed, if it did so by itself.
    async fn end(&mut self, job: &Job<'_>, terminal: &mut Terminal) -> Result<Option<String>> {
        let (ending, status) = self.process.end().await.context("end the program")?;
        if ending == Ending::Killed {
            terminal.warn(format_args!(
                "{} did not end on SIGTERM and was killed",
                job.name
            ));
        }
        let failed = ending == Ending::ByItself && !status.success();
        Ok(failed.then(|| {
            format!(
                "{} failed ({}){}",
                job.name,
                words(status),
                self.process.last_words()
            )
        }))
    }

    fn died(
        &self,
        job: &Job<'_>,
        status: std::io::Result<ExitStatus>,
        when: &str,
    ) -> anyhow::Error {
        died(job, &self.process, status, when)
    }
}

/// Waits for something of the program, unless it ends, takes too long, or the user interrupts.
async fn until<T>(
    job: &Job<'_>,
    process: &mut Process,
    limit: Duration,
    wanted: impl Future<Output = Result<T>>,
    what: &str,
) -> Result<T, NotReady> {
    tokio::select! {
        // A program that says hello and ends at once has said hello.
        biased;
        wanted = wanted => Ok(wanted?),
        status = process.ended() => {
            let error = died(job, process, status, &format!("before it {what}"));
            Err(match process.says_port_taken() {
                true => NotReady::PortTaken(error),
                false => NotReady::Other(error),
            })
        }
        () = sleep(limit) => {
            let seconds = job.args.ready_timeout.as_secs_f64();
            let words = process.last_words();
            Err(anyhow::anyhow!(
                "profile {}: {seconds} s went by before it {what} (--ready-timeout gives it longer){words}",
                job.name
            ).into())
        }
        () = job.interrupts.reached(1) => {
            Err(anyhow::anyhow!("profile {}: interrupted before the capture began", job.name).into())
        }
    }
}

fn died(
    job: &Job<'_>,
    process: &Process,
    status: std::io::Result<ExitStatus>,
    when: &str,
) -> anyhow::Error {
    let status = status.map_or_else(|error| error.to_string(), words);
    let words = process.last_words();
    anyhow::anyhow!("profile {}: it ended ({status}) {when}{words}", job.name)
}

/// What of the heap: nothing if the program's allocator can't be sampled, or the user does not want it.
fn heap_order(job: &Job<'_>, session: &Session) -> Result<Option<HeapOrder>> {
    if job.args.no_heap {
        return Ok(None);
    }
    if !session.can_sample_heap() {
        if job.args.heap {
            bail!(
                "profile the heap of {}: its global allocator is not perfwright's; put this into its main file: \
                 #[global_allocator] static ALLOC: perfwright::heap::SampledAlloc = \
                 perfwright::heap::SampledAlloc::system();",
                job.name
            );
        }
        return Ok(None);
    }
    let out = raw_folder(job, "raw-heap")?;
    Ok(Some(HeapOrder {
        rate_bytes: job.args.heap_rate,
        epoch_millis: u32::try_from(job.args.heap_epoch().as_millis()).unwrap_or(u32::MAX),
        out,
    }))
}

fn raw_folder(job: &Job<'_>, name: &str) -> Result<PathBuf> {
    let folder = job.folder.join(name);
    // A second try, with another port, finds it.
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

/// The program's arguments, and the address among them.
fn program_args(job: &Job<'_>) -> Result<(Vec<String>, Option<SocketAddr>)> {
    let all = || job.plan.args.iter().chain(&job.args.program_args);
    if !all().any(|arg| arg.contains("{addr}")) {
        return Ok((all().cloned().collect(), None));
    }
    let addr = free_address().context("find a free port on 127.0.0.1")?;
    let args = all().map(|arg| arg.replace("{addr}", &addr.to_string()));
    Ok((args.collect(), Some(addr)))
}

/// An address that was free a moment ago; nobody else gets it for a while, as ports are handed out in turn.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Returns when the service answers `path` with 2xx; without a path, when it accepts connections.
async fn ready(addr: SocketAddr, path: Option<&str>) -> Result<()> {
    loop {
        let ready = match path {
            Some(path) => Client::new(addr)
                .get(path)
                .await
                .is_ok_and(|answer| answer.status.is_success()),
            None => tokio::net::TcpStream::connect(addr).await.is_ok(),
        };
        if ready {
            return Ok(());
        }
        sleep(READY_POLL).await;
    }
}

fn not_ready(addr: SocketAddr, plan: &Plan) -> String {
    match &plan.ready {
        Some(path) => format!("answered http://{addr}{path} with 2xx"),
        None => format!("accepted connections on {addr}"),
    }
}

fn starting(name: &str, args: &[String]) -> String {
    match args.is_empty() {
        true => name.to_owned(),
        false => format!("{name} {}", args.join(" ")),
    }
}

fn progress_text(elapsed: Duration, whole: Duration, load: Option<&Load>) -> String {
    let time = format!("{:.1}/{:.0} s", elapsed.as_secs_f64(), whole.as_secs_f64());
    let Some((answered, failed)) = load.map(Load::progress) else {
        return time;
    };
    let rate = answered as f64 / elapsed.as_secs_f64().max(0.001);
    let errors = match failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    format!("{time}, {rate:.0} requests/s{errors}")
}

/// `exit status 1`, `signal 11`.
fn words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

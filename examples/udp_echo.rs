//! UDP echo. Datagrams may be lost, so the client asks again; the same code in the lab meets a network
//! that does lose them.

use asupersync::net::{UdpSocket, VirtualOptions};
use asupersync::prelude::*;
use asupersync::{LabConfig, LabRuntime};
use std::net::SocketAddr;
use std::time::Duration;

async fn echo(cx: &Cx, socket: UdpSocket) -> Result<(), Error> {
    let mut buf = [0; 1500];
    loop {
        let (n, from) = socket.recv_from(cx, &mut buf).await?;
        socket.send_to(cx, &buf[..n], from).await?;
    }
}

/// Answers how often it had to ask.
async fn ask(cx: &Cx, server: SocketAddr, question: &[u8]) -> Result<u32, Error> {
    let socket = UdpSocket::bind(cx, "127.0.0.1:0").await?;
    socket.connect(server)?;
    let mut buf = [0; 1500];
    for attempt in 1.. {
        socket.send(cx, question).await?;
        match timeout(cx, Duration::from_millis(500), socket.recv(cx, &mut buf)).await {
            Ok(received) => {
                // Else it is a late answer to an earlier question.
                if buf[..received?] == *question {
                    return Ok(attempt);
                }
            }
            // No answer in time; or the whole program is cancelled, which the checkpoint tells.
            Err(_) => cx.checkpoint()?,
        }
    }
    unreachable!("it asks until it is answered")
}

async fn program(cx: &Cx) -> Result<u32, Error> {
    let server = UdpSocket::bind(cx, "127.0.0.1:0").await?;
    let address = server.local_addr()?;
    let echoing = cx.spawn(async move |cx: &Cx| echo(cx, server).await);
    let mut asked = 0;
    for question in 0..100u32 {
        asked += ask(cx, address, &question.to_be_bytes()).await?;
    }
    echoing.cancel(CancelReason::user("every question is answered"));
    Ok(asked)
}

#[asupersync::main]
async fn main(cx: &Cx) -> Result<(), Error> {
    println!("on this machine: {} datagrams for 100 answers", program(cx).await?);
    let mut lab = cx.spawn_blocking(|| {
        let bad = VirtualOptions { loss: 200_000, duplicate: 50_000, ..VirtualOptions::default() };
        let report = LabRuntime::new(LabConfig::default().seed(1).network(bad)).run(program);
        Ok::<_, Error>(report.outcome.ok())
    });
    let asked = lab.join(cx).await?.into_result()?;
    println!("where one in five is lost: {} datagrams for 100 answers", asked.unwrap_or(0));
    Ok(())
}

//! A gRPC server that gives the same answer to everybody, in one thread: what `ext_authz` and `ratelimit` are measured against.
//!
//! `constant <address-file> <path>=<message in hex>…` listens on a free port of the loopback and writes `address:port` into
//! the file.

use std::{collections::HashMap, error::Error, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};

type Answers = Arc<HashMap<String, Bytes>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("the name of a file is missing")?;
    let answers: Answers = Arc::new(arguments.map(|one| answer(&one)).collect::<Result<_, _>>()?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    std::fs::write(file, listener.local_addr()?.to_string())?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream, Arc::clone(&answers)));
    }
}

/// A message with the five bytes before it that gRPC wants: not compressed, and its length.
fn answer(argument: &str) -> Result<(String, Bytes), Box<dyn Error>> {
    let (path, hex) = argument.split_once('=').ok_or("<path>=<hex> is missing")?;
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let message = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte * 16 + *digit as u8));
    let length = u32::try_from(hex.len() / 2)?.to_be_bytes();
    Ok((path.to_owned(), std::iter::once(0).chain(length).chain(message).collect()))
}

async fn serve(stream: TcpStream, answers: Answers) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        tokio::spawn(reply(request, respond, Arc::clone(&answers)));
    }
    Ok(())
}

async fn reply(
    mut request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    answers: Answers,
) -> Result<(), h2::Error> {
    while let Some(data) = request.body_mut().data().await {
        let length = data?.len();
        request.body_mut().flow_control().release_capacity(length)?;
    }
    let mut response = Response::new(());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut stream = respond.send_response(response, false)?;
    let mut trailers = HeaderMap::new();
    match answers.get(request.uri().path()) {
        Some(message) => {
            stream.send_data(message.clone(), false)?;
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
        }
        // UNIMPLEMENTED
        None => {
            trailers.insert("grpc-status", HeaderValue::from_static("12"));
        }
    }
    stream.send_trailers(trailers)
}

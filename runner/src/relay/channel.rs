//! The module's private channel, descriptor 3: messages of the protocol and nothing else.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use updates_protocol::{Frame, FrameReader, MAX_LINE, Message, parse_module_line};

use super::module::{MODULE_RESULT, Module};
use crate::supervisor::Lost;

/// The runner's end of the channel.
#[derive(Debug)]
pub(super) struct Channel {
    socket: File,
    reader: FrameReader,
    ended: bool,
}

impl Channel {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket: socket.into(), reader: FrameReader::new(MODULE_RESULT), ended: false }
    }

    /// Whether the module may still say something.
    pub(super) fn is_open(&self) -> bool {
        !self.ended
    }

    /// Reads once and passes on what is complete. Returns false when there was nothing to read.
    pub(super) fn read(&mut self, module: &mut Module) -> Result<bool, Lost> {
        let more = match self.reader.fill(&mut self.socket) {
            Ok(true) => true,
            Ok(false) => {
                self.ended = true;
                false
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(false),
            // The module closed its end with replies unread (ECONNRESET), which is its right.
            Err(_) => {
                self.ended = true;
                false
            }
        };
        while let Some(frame) = self.reader.next_frame() {
            match parse(frame) {
                Ok(message) => module.hear(message)?,
                Err(reason) => module.garble(reason),
            }
        }
        Ok(more)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn parse(frame: Frame<'_>) -> Result<Option<Message>, String> {
    let line = match frame {
        Frame::Line(line) => line,
        Frame::TooLong(length) => {
            return Err(format!("a line of {length} bytes on the channel; a result may have {MODULE_RESULT}"));
        }
    };
    match parse_module_line(line) {
        Ok(message) if line.len() > MAX_LINE && !matches!(message, Some(Message::Result { .. })) => {
            Err(format!("a line of {} bytes on the channel; all but a result may have {MAX_LINE}", line.len()))
        }
        Ok(message) => Ok(message),
        Err(error) => {
            let begin = String::from_utf8_lossy(&line[..line.len().min(80)]);
            Err(format!("a line on the channel is no message: {error}: {begin}"))
        }
    }
}

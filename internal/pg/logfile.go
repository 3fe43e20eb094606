package pg

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// maxLog bounds postgres.log and the one before it, postgres.log.1.
const maxLog = 8 * mib

func openLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// boundLog moves a log that has grown too long to path.1 and empties it. The
// file stays the same one, because postgres has it open for appending; a line
// written between the copy and the cut is lost.
func boundLog(path string) error {
	fi, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && fi.Size() <= maxLog {
		return nil
	}
	if err != nil {
		return err
	}
	if err := copyFile(path+".1", path); err != nil {
		return err
	}
	return os.Truncate(path, 0)
}

func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

// logTail is the end of postgres.log, for the message of a failed start. The
// settings keep personal data out of that file.
func (in *instance) logTail() string {
	data, err := os.ReadFile(in.logPath())
	if err != nil {
		return err.Error()
	}
	return lastLines(data)
}

// lastLines returns the last five lines of text.
func lastLines(text []byte) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-5):], []byte("\n")))
}

package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// bar shows how far something has come, to a person at a terminal and to nobody
// else: logs and pipes get nothing of it.
type bar struct{ shown *progressbar.ProgressBar }

// newBytesBar counts bytes; the size is -1 where it is not known.
func newBytesBar(w io.Writer, size int64) *bar {
	return newBar(w, size, "sending", progressbar.OptionShowBytes(true), progressbar.OptionShowCount())
}

// newCountBar counts things.
func newCountBar(w io.Writer, total int64, what string) *bar {
	return newBar(w, total, what, progressbar.OptionShowCount(), progressbar.OptionShowIts())
}

func newBar(w io.Writer, total int64, what string, options ...progressbar.Option) *bar {
	if !onTerminal(w) {
		return &bar{}
	}
	return &bar{progressbar.NewOptions64(total, append(options,
		progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
		progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(),
	)...)}
}

func onTerminal(w io.Writer) bool {
	file, isFile := w.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}

func (b *bar) add(n int) {
	if b.shown != nil {
		_ = b.shown.Add(n) // a bar that cannot be drawn is no reason to stop
	}
}

// follow shows how far something has come as it tells: what was done since it last
// told, and how much there is in all.
func (b *bar) follow(w io.Writer, what string) func(done, total int) {
	begun := false
	return func(done, total int) {
		if !begun {
			begun, *b = true, *newCountBar(w, int64(total), what)
		}
		b.add(done)
	}
}

// reset begins again.
func (b *bar) reset() {
	if b.shown != nil {
		b.shown.Reset()
	}
}

// end takes the bar away.
func (b *bar) end() {
	if b.shown != nil {
		_ = b.shown.Exit()
		_ = b.shown.Clear()
	}
}

// countProgress shows how far something has come as it tells; end takes the bar
// away.
func countProgress(w io.Writer, what string) (progress func(done, total int), end func()) {
	var shown *bar
	progress = func(_, total int) {
		if shown == nil {
			shown = newCountBar(w, int64(total), what)
		}
		shown.add(1)
	}
	return progress, func() {
		if shown != nil {
			shown.end()
		}
	}
}

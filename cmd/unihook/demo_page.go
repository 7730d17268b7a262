package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// demoPage writes what a demo has to show: for people, in the width and with the colours that their terminal has, or a
// JSON object a line for programs.
type demoPage struct {
	out    io.Writer
	json   *json.Encoder // nil for people
	width  int
	colour bool
}

// Widths of the page, in columns.
const (
	plainWidth      = 100 // where there is no terminal to ask
	narrowest       = 44
	sideBySideWidth = 96 // from here on before and after stand beside each other
)

func newDemoPage(out io.Writer, asJSON bool) *demoPage {
	p := &demoPage{out: &remembering{to: out}, width: plainWidth}
	if asJSON {
		p.json = json.NewEncoder(p.out)
		p.json.SetEscapeHTML(false)
		return p
	}
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return p
	}
	if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
		p.width = max(width, narrowest)
	}
	p.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return p
}

// remembering writes until something goes wrong, and keeps what it was: the page is many small writes.
type remembering struct {
	to  io.Writer
	err error
}

func (r *remembering) Write(b []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.to.Write(b)
	r.err = err
	return n, err
}

// unwritten is the error that cut the page short, nil where all of it is written. A reader that went away has nothing to
// be told.
func (p *demoPage) unwritten() error {
	r, ok := p.out.(*remembering)
	switch {
	case !ok || r.err == nil:
		return nil
	case errors.Is(r.err, syscall.EPIPE):
		return exitStatus{code: 1}
	}
	return fmt.Errorf("writing the page: %w", r.err)
}

// The styles, as terminals take them.
const (
	bold  = "1"
	faint = "2"
	red   = "31"
	green = "32"
	cyan  = "36"
)

func (p *demoPage) style(style, text string) string {
	if !p.colour || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// line writes a line, with a margin.
func (p *demoPage) line(parts ...string) {
	fmt.Fprintln(p.out, strings.TrimRight("  "+strings.Join(parts, ""), " "))
}

// opening says what stands ready.
func (p *demoPage) opening(url string, d *demo) {
	if p.json != nil {
		_ = p.json.Encode(map[string]any{"gateway": url, "receiver": d.receiver.url(), "webhook": d.webhook, "events": len(d.exhibits)})
		return
	}
	p.line()
	p.line(p.style(bold, "Unihook demo"))
	p.fact("gateway", url, "everything in one process, in a temporary folder")
	p.fact("receiver", d.receiver.url(), "with a certificate authority of its own")
	p.fact("webhook", d.webhook, fmt.Sprintf("all %d event types, a secret header, signed", len(d.exhibits)))
	p.fact("mapping", "for every event type", "personal data goes, camelCase becomes snake_case, one field is added")
	p.line()
}

func (p *demoPage) fact(name, value, remark string) {
	line := fmt.Sprintf("%-10s%s", name, value)
	if rest := p.width - 6 - columns(line); rest >= columns(remark) {
		p.line(p.style(faint, fmt.Sprintf("%-10s", name)), p.style(cyan, value), "  ", p.style(faint, remark))
		return
	}
	p.line(p.style(faint, fmt.Sprintf("%-10s", name)), p.style(cyan, value))
	p.line(strings.Repeat(" ", 10), p.style(faint, cut(remark, p.width-14)))
}

// exhibit shows one event: before, after, and what the receiver says.
func (p *demoPage) exhibit(number, of int, e *exhibit) {
	if p.json != nil {
		_ = p.json.Encode(e)
		return
	}
	name := visible(e.Product + " · " + e.Type)
	title := cut(visible(e.Title), max(0, p.width-columns(name)-16))
	p.line(p.style(faint, fmt.Sprintf("%2d/%d  ", number, of)), p.style(bold, name), "  ", p.style(faint, title))
	p.line(p.style(faint, strings.Repeat("─", p.width-4)))
	p.payloads(pretty(e.Before), pretty(e.After))
	p.line()
	p.checks(e)
	p.line()
}

// checks are the receiver's and the gateway's words on one event.
func (p *demoPage) checks(e *exhibit) {
	mark := func(good bool, text string) {
		sign := p.style(green, "✓ ")
		if !good {
			sign = p.style(red, "✗ ")
		}
		p.line(sign, cut(visible(text), p.width-6))
	}
	if e.Arrived {
		mark(true, fmt.Sprintf("arrived %.1f ms after it was accepted: %s, webhook-id %s", e.Millis, e.Request, e.Event))
	} else {
		mark(false, "did not arrive")
	}
	mark(e.Mapped, fmt.Sprintf("mapped by %d rules: %d bytes became %d", len(e.Rules), len(e.Before), len(e.After)))
	mark(e.Verified, "verified by Standard Webhooks, and the secret header is there: "+e.Signature)
	if e.Fault != "" {
		mark(false, e.Fault)
	}
}

// payloads shows both bodies: beside each other where there is room, else as one text with what went and what came.
func (p *demoPage) payloads(before, after []string) {
	if p.width >= sideBySideWidth {
		p.line("  ", p.style(cyan, fmt.Sprintf("%-*s   %s", p.column(), "before the rules", "what the receiver got")))
	}
	for _, row := range compareLines(before, after) {
		switch {
		case p.width >= sideBySideWidth:
			p.pair(row)
		case row.same:
			p.line("  ", p.style(faint, cut(row.after, p.width-6)))
		default:
			p.changed("- ", red, row.before)
			p.changed("+ ", green, row.after)
		}
	}
}

// column is the width of each of two texts beside each other: the margins, two signs and a gap are taken off.
func (p *demoPage) column() int { return (p.width - 9) / 2 }

func (p *demoPage) pair(row linePair) {
	left, right := cut(row.before, p.column()), cut(row.after, p.column())
	pad := strings.Repeat(" ", p.column()-columns(left)+1)
	if row.same {
		p.line("  ", p.style(faint, left), pad, p.style(faint, "  "+right))
		return
	}
	sign := func(sign, line string) string {
		if line == "" {
			return "  "
		}
		return sign
	}
	p.line(p.style(red, sign("- ", left)+left), pad, p.style(green, sign("+ ", right)+right))
}

func (p *demoPage) changed(sign, style, line string) {
	if line != "" {
		p.line(p.style(style, sign+cut(line, p.width-6)))
	}
}

// sum closes the examples.
func (p *demoPage) sum(exhibits []*exhibit) {
	count := map[string]int{}
	var times []float64
	for _, e := range exhibits {
		for what, is := range map[string]bool{"arrived": e.Arrived, "mapped": e.Mapped, "verified": e.Verified} {
			if is {
				count[what]++
			}
		}
		if e.Arrived {
			times = append(times, e.Millis)
		}
	}
	slices.Sort(times)
	median := 0.0
	if len(times) > 0 {
		median = times[len(times)/2]
	}
	if p.json != nil {
		_ = p.json.Encode(map[string]any{"published": len(exhibits), "arrived": count["arrived"], "mapped": count["mapped"],
			"verified": count["verified"], "medianMilliseconds": median})
		return
	}
	style := green
	if count["arrived"]+count["mapped"]+count["verified"] < 3*len(exhibits) {
		style = red
	}
	p.line(p.style(bold+";"+style, fmt.Sprintf("%d published, %d arrived, %d mapped, %d verified", len(exhibits), count["arrived"], count["mapped"], count["verified"])))
	p.line(p.style(faint, fmt.Sprintf("half of them within %.1f ms of the 202", median)))
	p.line()
}

// serving says how to go on by hand.
func (p *demoPage) serving(url, dataDir string) {
	key := filepath.Join(dataDir, "operator-key")
	if p.json != nil {
		_ = p.json.Encode(map[string]any{"serving": url, "operatorKeyFile": key})
		return
	}
	p.line("It goes on serving. Look around in another terminal; Ctrl-C ends it and removes its folder.")
	p.line()
	p.line(p.style(cyan, `curl -H "Authorization: Bearer $(cat `+key+`)" '`+url+`/v1/deliveries?limit=1'`))
	p.line()
}

// pretty breaks JSON into lines that are safe to print. The tokens are as they were.
func pretty(text []byte) []string {
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return nil
	}
	lines := strings.Split(b.String(), "\n")
	for i, line := range lines {
		lines[i] = visible(line)
	}
	return lines
}

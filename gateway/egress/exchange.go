package egress

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxResponseHeaders bounds what is read before a status is known, in bytes.
	maxResponseHeaders = 64 << 10
	// defaultMaxBody is how much of an answer's body is read, in bytes.
	defaultMaxBody = 64 << 10
	// quickInterims are the interim answers (1xx) that are read as fast as they come. Each later one is waited for: a
	// receiver that sends them without end costs nothing until the timeout.
	quickInterims = 16
	interimPause  = 50 * time.Millisecond
	// writePatience is how long a complete answer waits for the request's last byte to be written.
	writePatience = 50 * time.Millisecond
	// smallBody is sent in one write with the head.
	smallBody = 64 << 10
)

// stopped is the sentence for an attempt whose caller gave up.
const stopped = "the attempt was stopped before it was answered"

// framing are the headers that say where a message ends and what becomes of the connection: they are written here alone.
var framing = map[string]bool{
	"host": true, "content-length": true, "content-encoding": true, "transfer-encoding": true, "connection": true, "keep-alive": true,
	"te": true, "trailer": true, "upgrade": true, "http2-settings": true, "expect": true,
}

// head builds the request line and the headers. It fails closed: a header that should never have been saved stops the
// request, and never splits it.
func head(r *Request, target Target, userAgent string) ([]byte, *failed) {
	var b bytes.Buffer
	method := r.method()
	b.WriteString(method + " " + target.path + " HTTP/1.1\r\nHost: " + target.authority() + "\r\n")
	agent := false
	for i, h := range r.Header {
		lower := strings.ToLower(h.Name)
		if !isToken(h.Name) || len(h.Name) > MaxHeaderName || !isFieldValue(h.Value) || framing[lower] || strings.HasPrefix(lower, "proxy-") {
			return nil, &failed{Blocked, "a header cannot be sent as it is; nothing was sent"}
		}
		if replaced(lower, r.Header[i+1:]) {
			continue
		}
		agent = agent || lower == "user-agent"
		b.WriteString(h.Name + ": " + h.Value + "\r\n")
	}
	if !agent && userAgent != "" {
		b.WriteString("User-Agent: " + userAgent + "\r\n")
	}
	if method != http.MethodGet || len(r.Body) > 0 {
		b.WriteString("Content-Length: " + strconv.Itoa(len(r.Body)) + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes(), nil
}

// replaced says whether a later header has the name.
func replaced(lower string, later []Header) bool {
	for _, h := range later {
		if strings.ToLower(h.Name) == lower {
			return true
		}
	}
	return false
}

// exchange is one request and its answer on one connection.
type exchange struct {
	conn   *conn
	method string
	head   []byte
	body   []byte
	max    int64
	wrote  chan error
}

// run sends the request and reads the answer into out. It says whether the connection may be used again. Whatever ctx
// ends, it ends.
func (x *exchange) run(ctx context.Context, out *Response) (reusable bool) {
	stop := context.AfterFunc(ctx, func() { x.conn.route.SetDeadline(time.Unix(1, 0)) })
	began := time.Now()
	x.wrote = make(chan error, 1)
	go func() { x.wrote <- x.write() }()
	response, err := x.readHead(ctx)
	out.Timing.Wait = time.Since(began)
	if err != nil {
		stop()
		x.conn.abort()
		<-x.wrote
		x.fail(ctx, out, err)
		return false
	}
	began = time.Now()
	complete := x.readBody(response, out)
	out.Timing.Read = time.Since(began)
	x.judge(response, out)
	reusable = complete && x.settled(response) && stop()
	if !reusable {
		stop()
		x.conn.abort()
		<-x.wrote
	}
	return reusable
}

func (x *exchange) write() error {
	if len(x.body) <= smallBody {
		_, err := x.conn.Write(append(x.head, x.body...))
		return err
	}
	if _, err := x.conn.Write(x.head); err != nil {
		return err
	}
	_, err := x.conn.Write(x.body)
	return err
}

// readHead reads up to the final status and its headers.
func (x *exchange) readHead(ctx context.Context) (*http.Response, error) {
	request := &http.Request{Method: x.method}
	for interims := 0; ; interims++ {
		x.conn.meter.left = maxResponseHeaders
		response, err := http.ReadResponse(x.conn.in, request)
		x.conn.meter.left = math.MaxInt64
		if err != nil {
			return nil, err
		}
		if response.StatusCode < 100 {
			return nil, errNoStatus
		}
		if !isInterim(response.StatusCode) {
			return response, nil
		}
		if interims >= quickInterims {
			select {
			case <-ctx.Done():
			case <-time.After(interimPause):
			}
		}
	}
}

// errNoStatus is a status that there is not, which the parser lets pass: 000 would count as no answer at all.
var errNoStatus = errors.New("the status is below 100")

// isInterim says whether another answer follows. 101 ends HTTP, which was not asked for: it is a final answer.
func isInterim(status int) bool {
	return status >= 100 && status <= 199 && status != http.StatusSwitchingProtocols
}

// readBody keeps what of the body comes within the time and the limit, and says whether it was all. What goes wrong here
// changes no verdict: the receiver has said its status.
func (x *exchange) readBody(response *http.Response, out *Response) (complete bool) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(response.Body, x.max+1))
	out.Body = b.Bytes()
	if n > x.max {
		out.Body = out.Body[:x.max]
	}
	out.BodyTruncated = n > x.max || err != nil
	return !out.BodyTruncated
}

// settled says whether both sides are done with the request and want to go on.
func (x *exchange) settled(response *http.Response) bool {
	if response.Close || response.StatusCode == http.StatusSwitchingProtocols || x.conn.in.Buffered() > 0 {
		return false
	}
	// The answer can be here before the writer was able to say that it is done. One that answered before it had the
	// whole request is not waited for.
	patience := time.NewTimer(writePatience)
	defer patience.Stop()
	select {
	case err := <-x.wrote:
		x.wrote <- err
		return err == nil
	case <-patience.C:
		return false
	}
}

// judge puts a status into its class.
func (x *exchange) judge(response *http.Response, out *Response) {
	out.Status, out.Header = response.StatusCode, response.Header
	out.RetryAfter = strings.Join(response.Header.Values("Retry-After"), ", ")
	code := strconv.Itoa(out.Status)
	switch {
	case out.Status >= 200 && out.Status <= 299:
		out.Failure = None
	case out.Status == http.StatusGone:
		out.Failure, out.Error = Gone, "the receiver answered 410: it wants no more"
	case out.Status >= 300 && out.Status <= 399:
		out.Failure, out.Error = Redirect, "the receiver answered "+code+"; redirects are not followed"
	default:
		out.Failure, out.Error = Status, "the receiver answered "+code
	}
}

// fail puts an error before the status into its class and words of ours: the parser's quote the receiver.
func (x *exchange) fail(ctx context.Context, out *Response, err error) {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		out.Failure, out.Error = Timeout, "the receiver did not answer in time"
	case ctx.Err() != nil:
		out.Failure, out.Error = Timeout, stopped
	case errors.Is(err, errTooLong):
		out.Failure, out.Error = Broken, "the answer's headers are longer than 64 KiB"
	case isAlert(err):
		out.Failure, out.Error = TLS, "the receiver ended the connection: "+alertText(err)
	case x.conn.meter.ended, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isReset(err):
		out.Failure, out.Error = Broken, "the receiver closed the connection without a whole answer"
	default:
		out.Failure, out.Error = Broken, "the receiver's answer is not HTTP"
	}
}

// basicToken is a token as the user name of Basic authentication.
func basicToken(token string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(token+":"))
}

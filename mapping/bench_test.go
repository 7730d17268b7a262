package mapping_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"github.com/unihook/unihook/mapping"
)

// benchPayload is an event of about size bytes: an envelope, a customer, and as many order lines as fit.
func benchPayload(size int) []byte {
	var b strings.Builder
	b.WriteString(`{"id":"evt_01JFX3Q8Y7","type":"paiement.success","product":"payments","createdAt":"2026-05-18T10:32:14.000Z",` +
		`"organisation":"org_abc123","data":{"id":"pmt_xyz789","amount":5000.00,"currency":"EUR","contact":{"id":"ctc_1",` +
		`"firstName":"Sarah","lastName":"Ben Amor","email":"sarah@example.org","phone":"+33 6 12 34 56 78"},`)
	for i := range 100 {
		fmt.Fprintf(&b, `"f%d":%d,`, i, i)
		if b.Len() > size/2 {
			break
		}
	}
	b.WriteString(`"lines":[`)
	for i := 0; b.Len() < size-200; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"sku":"SKU-%06d","title":"Abonnement \"Pro\" n° %d","quantity":%d,"price":%d.50,"tags":["a","b"],"meta":{"weight":%d,"fragile":false}}`,
			i, i, i%7, i%500, i*3)
	}
	b.WriteString(`]}}`)
	return []byte(b.String())
}

// benchRules names properties of the envelope, the customer and the fields, so that the order lines can be skipped.
func benchRules(n int) (lines []string) {
	lines = []string{"remove data.contact.email"}
	if n >= 10 {
		lines = append(lines, "rename data.contact.firstName first_name", "remove data.contact.phone", "rename data.contact.lastName last_name",
			"set data.source \"unihook\"", "rename createdAt at", "remove organisation", "move data.currency data.money.currency",
			"remove data.f3", "rename data.f5 five")
	}
	for i := 10; i < n; i++ {
		if i%2 == 0 {
			lines = append(lines, fmt.Sprintf("remove data.f%d", i))
		} else {
			lines = append(lines, fmt.Sprintf("rename data.f%d renamed%d", i, i))
		}
	}
	return lines
}

// BenchmarkApply maps payloads that were checked at intake, with rules that let the order lines be skipped. The metric
// x-Valid is the time as a multiple of what gjson.ValidBytes takes for the same payload.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		m := compileLines(b, benchRules(n)...)
		benchSizes(b, fmt.Sprintf("rules=%d", n), func(payload []byte) error {
			_, err := m.ApplyValid(payload, 4<<20)
			return err
		})
	}
}

// BenchmarkApplyEach is BenchmarkApply with one rule more, for each order line: nothing long can be skipped.
func BenchmarkApplyEach(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		m := compileLines(b, append(benchRules(n)[1:], "remove data.lines.#.meta")...)
		benchSizes(b, fmt.Sprintf("rules=%d", n), func(payload []byte) error {
			_, err := m.ApplyValid(payload, 4<<20)
			return err
		})
	}
}

// BenchmarkApplyUnchecked is BenchmarkApply of payloads that come from outside, as at the command line.
func BenchmarkApplyUnchecked(b *testing.B) {
	m := compileLines(b, benchRules(10)...)
	benchSizes(b, "rules=10", func(payload []byte) error {
		_, err := m.Apply(payload, 4<<20)
		return err
	})
}

func BenchmarkCheckJSON(b *testing.B) {
	benchSizes(b, "check", func(payload []byte) error { return mapping.CheckJSON(payload, mapping.MaxDepth) })
}

func benchSizes(b *testing.B, name string, run func(payload []byte) error) {
	for _, kib := range []int{1, 16, 256} {
		payload := benchPayload(kib << 10)
		b.Run(fmt.Sprintf("%s/KiB=%d", name, kib), func(b *testing.B) {
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				if err := run(payload); err != nil {
					b.Fatal(err)
				}
			}
			valid := func() { gjson.ValidBytes(payload) }
			b.ReportMetric(ratio(func() { _ = run(payload) }, valid), "x-Valid")
		})
	}
}

// ratio compares the fastest of many short turns of both, one after the other, so that other work on the machine counts little.
func ratio(a, b func()) float64 {
	fastest := [2]float64{math.Inf(1), math.Inf(1)}
	for range 50 {
		for i, f := range []func(){a, b} {
			start, n := time.Now(), 0
			for n == 0 || time.Since(start) < 200*time.Microsecond {
				f()
				n++
			}
			fastest[i] = min(fastest[i], float64(time.Since(start))/float64(n))
		}
	}
	return fastest[0] / fastest[1]
}

// BenchmarkSjson makes one sjson call for each rule: what the engine is there to avoid. It does less: its rename puts the
// property last, and it does not enter arrays.
func BenchmarkSjson(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		var rules []mapping.Rule
		for _, line := range benchRules(n) {
			if r := parseLine(b, line); !strings.Contains(r.Path, "#") {
				rules = append(rules, r)
			}
		}
		benchSizes(b, fmt.Sprintf("rules=%d", n), func(body []byte) (err error) {
			for _, r := range rules {
				if body, err = sjsonApply(body, r); err != nil {
					break
				}
			}
			return err
		})
	}
}

func sjsonApply(body []byte, r mapping.Rule) (_ []byte, err error) {
	value := gjson.GetBytes(body, r.Path)
	to := r.To
	switch r.Op {
	case mapping.OpSet:
		body, err = sjson.SetRawBytes(body, r.Path, r.Value)
	case mapping.OpRename:
		to = r.Path[:strings.LastIndexByte(r.Path, '.')+1] + r.To
		fallthrough
	case mapping.OpMove:
		if value.Exists() {
			body, err = sjson.SetRawBytes(body, to, []byte(value.Raw))
		}
		fallthrough
	default:
		if err == nil {
			body, err = sjson.DeleteBytes(body, r.Path)
		}
	}
	return body, err
}

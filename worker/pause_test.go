package worker

import (
	"slices"
	"testing"

	"github.com/unihook/unihook/gateway"
)

// TestPause_LeavesOutReadsThatFoundNothing counts a read that is due at most once a second.
func TestPause_LeavesOutReadsThatFoundNothing(t *testing.T) {
	const now = gateway.Time(1_000_000)
	for name, row := range map[string]struct {
		found []int // by each read in turn
		tell  gateway.Time
		want  []bool // whether each pass reads
	}{
		"nothing":                         {found: []int{0, 0}, want: []bool{true, false, false, false, true, false, false, false}},
		"something, then nothing":         {found: []int{5, 1, 0}, want: []bool{true, true, true, false, false, false}},
		"nothing, but it comes soon":      {found: []int{0, 0}, tell: now + 10, want: []bool{true, true, false, false, false}},
		"nothing, and it comes later":     {found: []int{0, 0}, tell: now.Add(feedAhead), want: []bool{true, false, false, false, true}},
		"nothing, and nothing is to come": {found: []int{0, 0}, tell: 0, want: []bool{true, false, false, false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var p pause
			var got []bool
			for i := range row.want {
				reads := !p.rests()
				got = append(got, reads)
				if reads {
					p.read(row.found[0])
					row.found = row.found[1:]
				}
				if i == 0 {
					p.expect(row.tell, now)
				}
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

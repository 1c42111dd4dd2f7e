// Writes vectors.json: what Go's encoding/json makes of values that PassKit's webhooks can hold. The tests read the
// committed file and need no Go. Run it again with
//
//	go run test/golden/go/main.go > test/golden/go/vectors.json
//
// With the argument "again" it is a subscriber's program: it reads payloads and writes them again.
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime"
	"unicode/utf8"
)

// The structs have the tags that protoc-gen-go gives PassKit's messages, in the order of the fields.

type Timestamp struct {
	Seconds int64 `json:"seconds,omitempty"`
	Nanos   int32 `json:"nanos,omitempty"`
}

type UTM struct {
	Source  string `json:"source,omitempty"`
	Medium  string `json:"medium,omitempty"`
	Name    string `json:"name,omitempty"`
	Term    string `json:"term,omitempty"`
	Content string `json:"content,omitempty"`
}

type MetaLocation struct {
	Country   string  `json:"country,omitempty"`
	City      string  `json:"city,omitempty"`
	State     string  `json:"state,omitempty"`
	Latitude  float64 `json:"latitude,omitempty"`
	Longitude float64 `json:"longitude,omitempty"`
}

type Date struct {
	Year  int32 `json:"year,omitempty"`
	Month int32 `json:"month,omitempty"`
	Day   int32 `json:"day,omitempty"`
}

type Person struct {
	Surname      string           `json:"surname,omitempty"`
	Forename     string           `json:"forename,omitempty"`
	OtherNames   []string         `json:"otherNames,omitempty"`
	Salutation   string           `json:"salutation,omitempty"`
	Suffix       string           `json:"suffix,omitempty"`
	DisplayName  string           `json:"displayName,omitempty"`
	Gender       int32            `json:"gender,omitempty"`
	DateOfBirth  *Date            `json:"dateOfBirth,omitempty"`
	EmailAddress string           `json:"emailAddress,omitempty"`
	MobileNumber string           `json:"mobileNumber,omitempty"`
	ExternalId   string           `json:"externalId,omitempty"`
	ExternalIds  map[int32]string `json:"externalIds,omitempty"`
}

type Metadata struct {
	Status                  int32         `json:"status,omitempty"`
	LifecycleEvents         []int32       `json:"lifecycleEvents,omitempty"`
	Utm                     *UTM          `json:"utm,omitempty"`
	AltId                   string        `json:"altId,omitempty"`
	IssueIpAddress          string        `json:"issueIpAddress,omitempty"`
	InstallIpAddress        string        `json:"installIpAddress,omitempty"`
	RenderLocation          *MetaLocation `json:"renderLocation,omitempty"`
	RenderIpAddress         string        `json:"renderIpAddress,omitempty"`
	InstallUserAgent        string        `json:"installUserAgent,omitempty"`
	RenderUserAgent         string        `json:"renderUserAgent,omitempty"`
	InstallDeviceAttributes []int32       `json:"installDeviceAttributes,omitempty"`
	RenderDeviceAttributes  []int32       `json:"renderDeviceAttributes,omitempty"`
	IssueAt                 *Timestamp    `json:"issueAt,omitempty"`
	RenderedAt              *Timestamp    `json:"renderedAt,omitempty"`
	FirstInstalledAt        *Timestamp    `json:"firstInstalledAt,omitempty"`
	LastInstalledAt         *Timestamp    `json:"lastInstalledAt,omitempty"`
	FirstUninstalledAt      *Timestamp    `json:"firstUninstalledAt,omitempty"`
	LastUninstalledAt       *Timestamp    `json:"lastUninstalledAt,omitempty"`
	InvalidatedAt           *Timestamp    `json:"invalidatedAt,omitempty"`
	LastUpdatedAt           *Timestamp    `json:"lastUpdatedAt,omitempty"`
}

type Pass struct {
	Id            string            `json:"id,omitempty"`
	ClassId       string            `json:"classId,omitempty"`
	Protocol      int32             `json:"protocol,omitempty"`
	PersonDetails *Person           `json:"personDetails,omitempty"`
	Metadata      *Metadata         `json:"metadata,omitempty"`
	RecordData    map[string]string `json:"recordData,omitempty"`
	ExternalId    string            `json:"externalId,omitempty"`
}

type Payload struct {
	Event string `json:"event,omitempty"`
	Pass  *Pass  `json:"pass,omitempty"`
}

// Text of a vector is a list of code points, so that no JSON reader in between can change it.
type Text []int32

func points(text string) Text {
	list := Text{}
	for _, point := range text {
		list = append(list, point)
	}
	return list
}

type StringVector struct {
	Input  Text   `json:"input"`
	Output string `json:"output"`
}

// Bits is the IEEE 754 double in hex.
type NumberVector struct {
	Bits   string `json:"bits"`
	Output string `json:"output"`
}

type MapVector struct {
	Keys   []Text `json:"keys"`
	Output string `json:"output"`
}

type TimestampVector struct {
	Seconds string `json:"seconds"`
	Nanos   int32  `json:"nanos"`
	Output  string `json:"output"`
}

type Vectors struct {
	Go         string            `json:"go"`
	Strings    []StringVector    `json:"strings"`
	Numbers    []NumberVector    `json:"numbers"`
	Maps       []MapVector       `json:"maps"`
	NumberMaps []MapVector       `json:"numberMaps"`
	Timestamps []TimestampVector `json:"timestamps"`
	Payloads   []string          `json:"payloads"`
}

func written(value any) string {
	bytes, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(bytes)
}

func stringVectors() (vectors []StringVector) {
	add := func(text string) {
		if !utf8.ValidString(text) {
			panic("not a text")
		}
		vectors = append(vectors, StringVector{points(text), written(text)})
	}
	for point := rune(0); point < 0x100; point++ {
		add("a" + string(point) + "b")
	}
	for _, point := range []rune{0x2027, 0x2028, 0x2029, 0x202a, 0xd7ff, 0xe000, 0xfeff, 0xfffd, 0xffff, 0x10000, 0x1f600, 0x10ffff} {
		add(string(point) + string(point))
	}
	add("")
	add(`</script><a href="x">&amp;\u0041` + "\r\n\t")
	return vectors
}

func numberVectors() (vectors []NumberVector) {
	add := func(value float64) {
		output := written(struct {
			N float64 `json:"n,omitempty"`
		}{value})
		vectors = append(vectors, NumberVector{fmt.Sprintf("%016x", math.Float64bits(value)), output})
	}
	for _, value := range []float64{
		0, math.Copysign(0, -1), 1, -1, 51.536, -0.0925, 0.1, 1.0 / 3, 100, 1e20, 999999999999999868928, 1e21, 1e22, -1e21,
		1.5e300, 1e-5, 1e-6, 9.999999e-7, 1e-7, -1.5e-9, 1.5e-10, 1e-100, 5e-324, 2.2250738585072014e-308,
		math.MaxFloat64, 1 << 53, 1<<53 + 2, 123456789.125, 179.99999999999997, 1e15, 1e16, 123456789012345680000,
	} {
		add(value)
	}
	// A fixed linear congruence, so that a second run writes the same file.
	state := uint64(42)
	for len(vectors) < 300 {
		state = state*6364136223846793005 + 1442695040888963407
		if value := math.Float64frombits(state); !math.IsNaN(value) && !math.IsInf(value, 0) {
			add(value)
		}
	}
	return vectors
}

func mapVectors() (vectors []MapVector) {
	for _, keys := range [][]string{
		{}, {"b", "a"}, {"a", "B", "_", "1", "10", "9", "", "aa", "a.b", "a-b", "a b"},
		{"\U0001f600", "\uffff", "\ue000", "\ud7ff", "é", "z", "\U00010000"},
		{"x\U0001f600", "x\uffff", "x", "x\ue000y"}, {"<", "&", "\"", "\\", "\n"}, {"__proto__", "constructor", "toString"},
		{"members.tier.id", "members.member.id", "universal.status", "design.pointsType"},
	} {
		values, list := map[string]string{}, []Text{}
		for _, key := range keys {
			values[key] = "v"
			list = append(list, points(key))
		}
		vectors = append(vectors, MapVector{list, written(struct {
			M map[string]string `json:"m,omitempty"`
		}{values})})
	}
	return vectors
}

func numberMapVectors() (vectors []MapVector) {
	for _, keys := range [][]int32{{}, {3, 20, 100, 1, -1, -20, 0, 2}, {math.MaxInt32, math.MinInt32, 9, 10}} {
		values, list := map[int32]string{}, []Text{}
		for _, key := range keys {
			values[key] = "v"
			list = append(list, points(fmt.Sprint(key)))
		}
		vectors = append(vectors, MapVector{list, written(struct {
			M map[int32]string `json:"m,omitempty"`
		}{values})})
	}
	return vectors
}

func timestampVectors() (vectors []TimestampVector) {
	for _, time := range []Timestamp{
		{}, {1608644518, 743534000}, {1608644748, 0}, {0, 1}, {-1, 999999999}, {1 << 53, 0}, {1<<53 + 1, 1},
		{math.MaxInt64, 0}, {math.MinInt64, 5}, {-62135596800, 0}, {253402300799, 999999999},
	} {
		vectors = append(vectors, TimestampVector{fmt.Sprint(time.Seconds), time.Nanos, written(struct {
			T *Timestamp `json:"t,omitempty"`
		}{&time})})
	}
	return vectors
}

func fullPass() *Pass {
	at := func(seconds int64, nanos int32) *Timestamp { return &Timestamp{seconds, nanos} }
	return &Pass{
		Id: "id", ClassId: "class", Protocol: 101, ExternalId: "external",
		PersonDetails: &Person{
			Surname: "O'Hara & Söhne", Forename: "<Jo>", OtherNames: []string{"A", "", "B\"C"}, Salutation: "Dr", Suffix: "III",
			DisplayName: "Jo 😀", Gender: 2, DateOfBirth: &Date{1980, 2, 29}, EmailAddress: "jo@example.com",
			MobileNumber: "+4917612345678", ExternalId: "p-1", ExternalIds: map[int32]string{10: "ten", 9: "nine", -1: ""},
		},
		Metadata: &Metadata{
			Status: 3, LifecycleEvents: []int32{1, 2, 1024, 524288, 0}, Utm: &UTM{"s", "m", "n", "t", "c"}, AltId: "alt",
			IssueIpAddress: "192.0.2.1", InstallIpAddress: "192.0.2.2",
			RenderLocation:  &MetaLocation{"GB", "Islington", "England", 51.536, -1e-7},
			RenderIpAddress: "192.0.2.3", InstallUserAgent: "a", RenderUserAgent: "b\u2028c",
			InstallDeviceAttributes: []int32{1, 512}, RenderDeviceAttributes: []int32{4096},
			IssueAt: at(1, 0), RenderedAt: at(2, 1), FirstInstalledAt: at(3, 2), LastInstalledAt: at(4, 3),
			FirstUninstalledAt: at(5, 4), LastUninstalledAt: at(6, 5), InvalidatedAt: at(7, 6), LastUpdatedAt: at(0, 7),
		},
		RecordData: map[string]string{"b": "2", "a": "1", "": "", "ä": "</b>"},
	}
}

func payloads() (list []string) {
	for _, pass := range []*Pass{
		fullPass(), {}, {Metadata: &Metadata{}, PersonDetails: &Person{}},
		{Metadata: &Metadata{Utm: &UTM{}, RenderLocation: &MetaLocation{}, IssueAt: &Timestamp{}},
			PersonDetails: &Person{DateOfBirth: &Date{}}, RecordData: map[string]string{}},
		{Id: "only"}, {Protocol: 100, PersonDetails: &Person{DateOfBirth: &Date{Month: 12}}},
	} {
		list = append(list, written(Payload{"PASS_EVENT_RECORD_CREATED", pass}))
	}
	return list
}

// Reads payloads from standard input, decodes each strictly into the structs, and writes what encoding/json makes of it.
func writeAgain() {
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	for decoder.More() {
		var payload Payload
		if err := decoder.Decode(&payload); err != nil {
			panic(err)
		}
		fmt.Println(written(payload))
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "again" {
		writeAgain()
		return
	}
	encoder := json.NewEncoder(os.Stdout)
	err := encoder.Encode(Vectors{
		runtime.Version(), stringVectors(), numberVectors(), mapVectors(), numberMapVectors(), timestampVectors(), payloads(),
	})
	if err != nil {
		panic(err)
	}
}

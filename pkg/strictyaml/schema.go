package strictyaml

// Form is what a value must look like.
type Form int

// The forms of values.
const (
	Object   Form = iota + 1 // known keys
	Map                      // keys that the author chooses
	List                     // items of one kind
	Text                     // a string
	Boolean                  // as YAML 1.1 has it: yes and on are booleans too
	Number                   // a whole number, quoted or not
	Scalar                   // text, number or boolean, taken as it is written
	Anything                 // free, within the limits on size and depth
)

// Schema describes one place of a file. A schema is read only once it is in
// use, so one may be shared by many places and by concurrent calls of Parse.
type Schema struct {
	Form Form
	Keys map[string]*Schema // of an Object
	Elem *Schema            // of a List or a Map

	Required []string          // keys an Object must have
	OneOf    bool              // an Object must have exactly one key
	Gone     map[string]string // keys that never existed or no longer do, and what to do instead

	// Open lets an Object have unknown keys, with a notice: somebody else acts
	// on this part and knows what belongs there.
	Open bool

	NonEmpty bool   // of a Text, List, Map or Object
	First    int    // only so many items of a List are used; a notice says so; 0 is all
	Most     int    // more items of a List or Map are a fault; 0 is no limit
	Unique   string // key by which the items of a List must differ, ignoring case; "." is the item itself
	// Twice is said about items that are the same by Unique.
	Twice string

	Values []string // allowed texts
	// Check judges a Text, a Number or a key of a Map that is well formed.
	Check func(value string) (problem, remedy string)
	// Want names what belongs here, for example "a full path"; Remedy says how
	// it is written. Both are for values of a wrong type and may be empty.
	Want, Remedy string
	// Notice is said when the key is there.
	Notice string
}

// Options are what differs between files.
type Options struct {
	// MaxBytes is the largest file; 0 is DefaultMaxBytes.
	MaxBytes int
	// TooLarge is the remedy for a larger one.
	TooLarge string
	// SecondDocument and SecondKey are added to the remedy when a file holds
	// two documents or a mapping holds a key twice.
	SecondDocument, SecondKey string
	// NoNull refuses keys without a value, which otherwise count as not there.
	NoNull bool
}

// Limits on a file.
const (
	// DefaultMaxBytes is how large a file may be, in bytes.
	DefaultMaxBytes = 128 << 10
	// MaxFaults is how many faults of one file are reported.
	MaxFaults = 100
	// MaxNotices is how many notices of one file are reported.
	MaxNotices = 100
	// maxDepth is how deep free-form parts and merge keys may nest.
	maxDepth = 32
)

// maxNodes is how many YAML nodes are visited, those behind an alias counted
// each time they are used. A file without aliases stays below it.
func (o Options) maxNodes() int { return 2 * o.maxBytes() }

func (o Options) maxBytes() int {
	if o.MaxBytes > 0 {
		return o.MaxBytes
	}
	return DefaultMaxBytes
}

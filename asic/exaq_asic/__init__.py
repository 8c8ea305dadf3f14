"""From a softmax unit to standard cells: area, time, energy, and the gates' own simulation."""

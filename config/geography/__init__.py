"""The places of France: communes, what they were, and what they lie in. Official data, packed and checked in."""

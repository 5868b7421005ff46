mod nets;
mod spine;

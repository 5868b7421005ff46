mod nets;
